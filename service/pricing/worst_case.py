"""The most that an attempt can cost: what is held of the budget before it. Pure integers.

What a budget promises rests on this: no bill may exceed its hold. Where Cohere does not say how it counts, the
larger reading is taken.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.policy import Endpoint
from service.pricing.input_bound import chat_tokens_max, nfc_surplus, tokens_max
from service.pricing.model_price import PICOS_PER_NANO, ModelPrice
from service.validation import input_bytes
from service.validation.input_size import IMAGE_TOKENS_MAX

DOCUMENTS_PER_SEARCH_UNIT = 100
CHUNK_TOKENS = 500
"""A longer document, with the query, counts as several (cohere.com/pricing)."""
MAX_TOKENS_PER_DOC_DEFAULT = 4096
RESERVED_TOKENS = 4
"""What a reranker needs for itself beside query and document (docs.cohere.com, "Best Practices for using Rerank")."""


class UnitNotPriced(Exception):
    """The model has a price, but not for all that the request can be billed.

    Attributes:
        model: Its name.
        unit: What has no price: a billed unit, or an endpoint that the model does not answer.
    """

    def __init__(self, model: str, unit: str) -> None:
        self.model = model
        self.unit = unit
        super().__init__(f"{model} has no price for {unit}")


def worst_case_nanos(price: ModelPrice, request: ChatRequest | EmbedRequest | RerankRequest) -> int:
    """The most that one attempt of *request* can cost, in nano-USD.

    Args:
        price: Of the request's model.
        request: Valid, and as it is sent: a chat with its `max_tokens`.

    Raises:
        UnitNotPriced: It can be billed something that has no price.
    """
    endpoint, picos_of = _OF[type(request)]
    if price.endpoint != endpoint:
        raise UnitNotPriced(price.model, endpoint)
    return -(-picos_of(price, request) // PICOS_PER_NANO)


def _chat_picos(price: ModelPrice, request: ChatRequest) -> int:
    picos_per_unit = price.picos_per_unit
    input_tokens = min(chat_tokens_max(request), price.context_tokens)
    output_tokens = _output_tokens(price, request)
    return input_tokens * picos_per_unit["input_tokens"] + output_tokens * picos_per_unit["output_tokens"]


def _output_tokens(price: ModelPrice, request: ChatRequest) -> int:
    """The longest answer. Whether `max_tokens` counts the thinking Cohere does not say; here it is added to it."""
    most = price.output_tokens_max
    asked = request.max_tokens if request.HasField("max_tokens") else most
    if request.HasField("thinking"):
        thinking = request.thinking
        if thinking.type != "disabled":
            asked += thinking.token_budget if thinking.HasField("token_budget") else most
    elif price.thinks:
        asked = most
    return min(asked, most)


def _embed_picos(price: ModelPrice, request: EmbedRequest) -> int:
    """Texts whole, though a model reads no more of them than its window: whether the rest is billed nobody says."""
    picos_per_unit = price.picos_per_unit
    images = len(request.images)
    surplus = sum(map(nfc_surplus, request.texts))
    for item in request.inputs:
        for block in item.content:
            images += block.HasField("image_url")
            surplus += nfc_surplus(block.text)
    text_tokens = input_bytes(request) - images * IMAGE_TOKENS_MAX + surplus
    picos = text_tokens * picos_per_unit["input_tokens"]
    if not images:
        return picos
    if "images" in picos_per_unit:
        return picos + images * picos_per_unit["images"]
    if "image_tokens" in picos_per_unit:
        return picos + images * IMAGE_TOKENS_MAX * picos_per_unit["image_tokens"]
    raise UnitNotPriced(price.model, "image_tokens")


def _rerank_picos(price: ModelPrice, request: RerankRequest) -> int:
    """By search units, or by tokens with the query read anew for each document and each part of a long one.

    A document is cut to `max_tokens_per_doc`, and the query to half of the window, before either is read.
    """
    query = tokens_max(request.query)
    query_read = min(query, price.context_tokens // 2) + RESERVED_TOKENS
    cut = request.max_tokens_per_doc if request.HasField("max_tokens_per_doc") else MAX_TOKENS_PER_DOC_DEFAULT
    documents = [min(tokens_max(document), cut) for document in request.documents]
    picos_per_unit = price.picos_per_unit
    if "search_units" in picos_per_unit:
        chunks = sum(_chunks(document, query_read) for document in documents)
        return -(-chunks // DOCUMENTS_PER_SEARCH_UNIT) * picos_per_unit["search_units"]
    room = max(1, price.context_tokens - query_read)
    parts = sum(max(1, -(-document // room)) for document in documents)
    return (query + sum(documents) + parts * query_read) * picos_per_unit["input_tokens"]


def _chunks(document: int, query: int) -> int:
    """How many documents one of so many tokens counts as.

    "Including the query" can be read in two ways: it takes room in every chunk, though no more than half as in the
    model's own window; or its length is added once. The larger number of chunks is taken.
    """
    room = max(CHUNK_TOKENS - query, CHUNK_TOKENS // 2)
    return max(-(-document // room), -(-(document + query) // CHUNK_TOKENS))


_OF: Final[Mapping[type, tuple[Endpoint, Callable[[ModelPrice, Any], int]]]] = {
    ChatRequest: ("chat", _chat_picos),
    EmbedRequest: ("embed", _embed_picos),
    RerankRequest: ("rerank", _rerank_picos),
}
