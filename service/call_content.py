"""What the records say of a request's content: lengths, and HMACs to find it by. Never the content."""

import itertools
from collections.abc import Iterator
from typing import Any

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.books.content import ContentHasher

TEXTS_MAX = 4


def content_of(
    hasher: ContentHasher, raw: bytes, request: ChatRequest | EmbedRequest | RerankRequest
) -> dict[str, Any]:
    """Describes a request by its length and HMACs.

    Args:
        hasher: Knows the audit's key.
        raw: The request message as it arrived.
        request: The same, parsed.

    Returns:
        `bytes` and `hmac` of the whole message, and `texts`: the HMACs of up to `TEXTS_MAX` of its texts, each as it
        stands in the request — a Chat's newest messages first, a Rerank's query before its documents.
    """
    texts = itertools.islice(_texts_of(request), TEXTS_MAX)
    return {"bytes": len(raw), "hmac": hasher.of(raw), "texts": [hasher.of(text.encode()) for text in texts]}


def _texts_of(request: ChatRequest | EmbedRequest | RerankRequest) -> Iterator[str]:
    if isinstance(request, ChatRequest):
        for message in reversed(request.messages):
            yield from _texts_of_message(message)
    elif isinstance(request, EmbedRequest):
        yield from request.texts
        for item in request.inputs:
            yield from (block.text for block in item.content if block.HasField("text"))
    else:
        yield request.query
        yield from request.documents


def _texts_of_message(message: ChatMessage) -> Iterator[str]:
    if message.HasField("text"):
        yield message.text
    for block in message.content:
        if block.HasField("text"):
            yield block.text
