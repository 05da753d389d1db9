"""The price book: what each model costs, as one immutable version that can be written down and read back."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Final, Self

from service.policy import Endpoint
from service.pricing.model_price import UNITS, ModelPrice
from service.pricing.price_file import PriceBookError, read

_SHIPPED: Final = "prices.toml"
_DIGEST_CHARS: Final = 8
_UNCONFIRMED: Final[Mapping[str, int]] = {}
_USUAL_KEYS: Final[Mapping[Endpoint, str]] = {
    "chat": "usd_per_million_input_tokens and usd_per_million_output_tokens",
    "embed": "usd_per_million_input_tokens",
    "rerank": "usd_per_thousand_search_units",
}


class PriceBook:
    """Prices by model.

    Args:
        label: What people call this version, such as "2026-11-21".
        prices: One for each model, also for those without a price.
        moved_from: Model → unit → the old price, in pico-USD a unit, that a move is confirmed against. No part of
            the content: it says nothing of what a call costs.

    Attributes:
        body: The content as text: a price file of its own, always written in the same way.
        version: The label and the beginning of the SHA-256 of *body*, so that any change is another version.
    """

    def __init__(
        self, label: str, prices: Iterable[ModelPrice], moved_from: Mapping[str, Mapping[str, int]] = {}
    ) -> None:
        self._prices = {price.model: price for price in sorted(prices, key=lambda price: price.model)}
        self._moved_from = dict(moved_from)
        self.body = "\n".join([f'version = "{label}"\n', *map(_written, self._prices.values())])
        self.version = f"{label}.{hashlib.sha256(self.body.encode()).hexdigest()[:_DIGEST_CHARS]}"

    @classmethod
    def parse(cls, body: str) -> Self:
        """The book that wrote *body*.

        Raises:
            PriceBookError: No book wrote it so.
        """
        file = read(body, name="price book")
        book = cls(file.label, file.prices)
        if book.body != body:
            raise PriceBookError(["price book: it was changed after it was written"])
        return book

    def price_of(self, model: str) -> ModelPrice | None:
        """The price of a model; None if there is none: then a call of it could cost anything."""
        price = self._prices.get(model)
        return price if price is not None and price.picos_per_unit else None

    def priced(self) -> list[ModelPrice]:
        """Every model that has a price, by name."""
        return [price for price in self._prices.values() if price.picos_per_unit]

    def confirmed_from(self, model: str) -> Mapping[str, int]:
        """Unit → the old price, in pico-USD a unit, from which the file says that the model's price may move."""
        return self._moved_from.get(model, _UNCONFIRMED)

    def how_to_price(self, model: str) -> str:
        """Says what operators have to do to have a price for *model*, which has none."""
        known = self._prices.get(model)
        if known is None:
            return (
                f"the price book {self.version} does not know the model; operators can add it to the file that"
                f' books.prices names, as [models."{model}"] with endpoint, bounds and prices'
            )
        return (
            f"no price of the model is published; operators can add what they pay to the file that books.prices"
            f' names: [models."{model}"] with {_USUAL_KEYS[known.endpoint]}'
        )


def load(override: Path | None = None) -> PriceBook:
    """The shipped price book, with what an operator's file adds or replaces.

    Raises:
        PriceBookError: With every problem found.
    """
    shipped = (resources.files("service.pricing") / _SHIPPED).read_text(encoding="utf-8")
    if override is None:
        file = read(shipped, name=_SHIPPED)
    else:
        try:
            text = override.read_text(encoding="utf-8")
        except OSError as error:
            raise PriceBookError([f"{override}: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise PriceBookError([f"{override}: not UTF-8"]) from None
        file = read(text, name=str(override), base=shipped)
    return PriceBook(file.label, file.prices, file.moved_from)


def _written(price: ModelPrice) -> str:
    lines = [f'[models."{_quoted(price.model)}"]', f'endpoint = "{price.endpoint}"']
    if price.context_tokens:
        lines.append(f"context_tokens = {price.context_tokens}")
    if price.output_tokens_max:
        lines.append(f"output_tokens_max = {price.output_tokens_max}")
    if price.thinks:
        lines.append("thinks = true")
    picos = price.picos_per_unit
    lines += [f"{unit.key} = {unit.usd(picos[unit.name])}" for unit in UNITS if unit.name in picos]
    return "\n".join([*lines, ""])


def _quoted(model: str) -> str:
    return model.replace("\\", "\\\\").replace('"', '\\"')
