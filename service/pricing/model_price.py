"""What one model costs, and the units it may be priced in.

A price is kept as whole pico-USD a unit (1 USD is 10^12), so that units x price is exact: 2.50 USD per million
tokens is 2,500,000 pico-USD a token. That number is also the price in micro-USD of a million units.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from service.money import nanos_of_usd, usd_of
from service.policy import Endpoint

PICOS_PER_NANO = 1_000


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that Cohere bills.

    Attributes:
        name: Its name in Cohere's billed units.
        key: The key of its price in a price file, which says in dollars per how many units.
        count: How many units that price is for.
        usd_max: The highest price that is believed: many times any known one, and low enough that no cost of sane
            units exceeds 64 bits of nano-USD.
    """

    name: str
    key: str
    count: int
    usd_max: int

    def picos(self, usd: Decimal) -> int:
        """A price of a file, in USD per `count` units, as pico-USD a unit.

        Raises:
            ValueError: It is not within 0 and `usd_max`, or finer than `usd_step`.
        """
        if not (usd.is_finite() and 0 <= usd <= self.usd_max):
            raise ValueError(f"must be from 0 to {self.usd_max} USD")
        with contextlib.suppress(ValueError):  # finer than a nano-USD
            picos, finer = divmod(nanos_of_usd(usd) * PICOS_PER_NANO, self.count)
            if not finer:
                return picos
        raise ValueError(f"must be a multiple of {self.usd_step} USD")

    @property
    def usd_step(self) -> str:
        """What every price is a multiple of: whole nano-USD per `count`, and whole pico-USD a unit."""
        return "0.000001" if self.count == 1_000_000 else "0.000000001"

    def nanos(self, picos: int) -> int:
        """A price as nano-USD per `count` units, exactly."""
        return picos * self.count // PICOS_PER_NANO

    def usd(self, picos: int) -> str:
        """A price as a file has it: USD per `count` units."""
        return usd_of(self.nanos(picos))


UNITS: Final = (
    Unit("input_tokens", "usd_per_million_input_tokens", 1_000_000, 1_000),
    Unit("output_tokens", "usd_per_million_output_tokens", 1_000_000, 1_000),
    Unit("image_tokens", "usd_per_million_image_tokens", 1_000_000, 1_000),
    Unit("search_units", "usd_per_thousand_search_units", 1_000, 1_000),
    Unit("images", "usd_per_image", 1, 1),
)
UNIT_OF_KEY: Final[Mapping[str, Unit]] = {unit.key: unit for unit in UNITS}
UNIT_OF_NAME: Final[Mapping[str, Unit]] = {unit.name: unit for unit in UNITS}


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """A model, its prices, and what bounds a call of it.

    Attributes:
        model: Its name, as Cohere spells it.
        endpoint: The endpoint that it answers.
        picos_per_unit: Name of a billed unit → pico-USD for one. Empty if no price is known.
        context_tokens: The most input tokens of a chat that can be billed; of rerank the window for query and
            document. 0 for embed, whose bound does not need it.
        output_tokens_max: The longest answer of a chat, thinking included; 0 for others.
        thinks: It thinks unless it is told not to.
    """

    model: str
    endpoint: Endpoint
    picos_per_unit: Mapping[str, int]
    context_tokens: int = 0
    output_tokens_max: int = 0
    thinks: bool = False
