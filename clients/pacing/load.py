"""What a request counts for in Cohere's rate limits. Pure.

Source: Cohere's page "Rate limits": chat per model and rerank count requests, embed counts inputs, texts and images
apart. An input of several parts counts as an image if it holds one.
"""

from typing import NamedTuple, TypeAlias

from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest

EMBED_TEXTS, EMBED_IMAGES, RERANK = "embed texts", "embed images", "rerank"
CHAT = "chat "
"""Followed by the model's name."""


class Demand(NamedTuple):
    """What a request takes of one limit."""

    limit_name: str
    amount: int


Load: TypeAlias = tuple[Demand, ...]
"""All that a request takes; none of it is zero."""


def load_of(request: ChatRequest | EmbedRequest | RerankRequest) -> Load:
    """What one attempt of a request counts for."""
    match request:
        case ChatRequest():
            return (Demand(f"{CHAT}{request.model}", 1),)
        case EmbedRequest():
            return _load_of_embed(request)
        case RerankRequest():
            return (Demand(RERANK, 1),)


def _load_of_embed(request: EmbedRequest) -> Load:
    if not request.images and not request.inputs:
        return (Demand(EMBED_TEXTS, len(request.texts)),) if request.texts else ()
    images = len(request.images) + sum(map(_has_image, request.inputs))
    texts = len(request.texts) + len(request.images) + len(request.inputs) - images
    return tuple(demand for demand in (Demand(EMBED_TEXTS, texts), Demand(EMBED_IMAGES, images)) if demand.amount)


def _has_image(item: EmbedInput) -> bool:
    return any(block.HasField("image_url") for block in item.content)
