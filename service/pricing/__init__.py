"""What calls cost: the price book, the most that an attempt can cost, and what it did cost. Integers only."""

from service.pricing.book import PriceBook, load
from service.pricing.cost import cost_nanos
from service.pricing.model_price import UNIT_OF_NAME, ModelPrice
from service.pricing.moves import check_moves
from service.pricing.price_file import PriceBookError
from service.pricing.worst_case import UnitNotPriced, worst_case_nanos

__all__ = [
    "UNIT_OF_NAME",
    "ModelPrice",
    "PriceBook",
    "PriceBookError",
    "UnitNotPriced",
    "check_moves",
    "cost_nanos",
    "load",
    "worst_case_nanos",
]
