"""What a call may cost at most, by the price book it began with; and what it counts for in Cohere's limits."""

from dataclasses import dataclass

from clients.pacing.load import Load, load_of
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.books.errors import ModelNotPriced
from service.pricing.book import PriceBook
from service.pricing.model_price import ModelPrice
from service.pricing.worst_case import UnitNotPriced, worst_case_nanos


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of a call's attempts; each is held for and charged by the same one, whatever is reloaded meanwhile."""

    endpoint: str
    model: str
    price: ModelPrice
    price_version: str
    hold_nanos: int
    """The worst case of one attempt, in nano-USD."""
    load: Load
    """What one attempt counts for."""


def quote_of(prices: PriceBook, team: str, endpoint: str, request: ChatRequest | EmbedRequest | RerankRequest) -> Quote:
    """Prices a request as it will be sent, `max_tokens` filled in.

    Raises:
        ModelNotPriced: The price book has no price for the model, or none for all that the request can be billed.
    """
    price = prices.price_of(request.model)
    if price is None:
        raise ModelNotPriced(team, request.model, prices.version)
    try:
        hold_nanos = worst_case_nanos(price, request)
    except UnitNotPriced:
        raise ModelNotPriced(team, request.model, prices.version) from None
    return Quote(endpoint, request.model, price, prices.version, hold_nanos, load_of(request))
