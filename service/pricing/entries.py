"""The entries of a price file → what each model costs, or every problem at once, each with its path.

A model may stand there without a price, for what else is known of it; then only the price is left to add.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias, cast

from service.policy import Endpoint
from service.pricing.model_price import UNIT_OF_KEY, ModelPrice

Picos: TypeAlias = dict[str, int]
"""Name of a billed unit → pico-USD for one."""
Table: TypeAlias = Mapping[str, Any]

MOVED_FROM = "moved_from"
PRICE = "usd_"
MODEL_CHARS_MAX = 200
TOKENS_MAX = 100_000_000

_CHAT_UNITS = ("input_tokens", "output_tokens")
_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "chat": _CHAT_UNITS,
    "embed": ("input_tokens", "image_tokens", "images"),
    "rerank": ("search_units", "input_tokens"),
}
_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "chat": ("context_tokens", "output_tokens_max", "thinks"),
    "embed": (),
    "rerank": ("context_tokens",),
}


class Entries:
    """The models of one price book, read one by one.

    Attributes:
        prices: The models that are right.
        moved_from: Model → the old prices that a move of its prices is confirmed against.
        problems: What is wrong, each as `path: problem`.
    """

    def __init__(self) -> None:
        self.prices: list[ModelPrice] = []
        self.moved_from: dict[str, Picos] = {}
        self.problems: list[str] = []

    def take(self, place: str, model: str, table: Table) -> None:
        """Reads the entry of *model*.

        Args:
            place: The path of the entry, for problems.
            model: Its name.
            table: Its keys and values, prices as Decimal or whole numbers.
        """
        before = len(self.problems)
        endpoint = table.get("endpoint")
        if not _is_name(model):
            self._wrong(place, f"a model's name is 1 to {MODEL_CHARS_MAX} printable ASCII characters")
        if not isinstance(endpoint, str) or endpoint not in _UNITS:
            self._wrong(f"{place}.endpoint", f"must be one of {', '.join(_UNITS)}")
            return
        priced = {key: value for key, value in table.items() if key.startswith(PRICE)}
        picos = self._prices(place, priced)
        self._check_units(place, endpoint, {UNIT_OF_KEY[key].name for key in priced if key in UNIT_OF_KEY})
        facts = {name: self._fact(f"{place}.{name}", name, table.get(name)) for name in _FACTS[endpoint]}
        for key in sorted(table.keys() - priced.keys() - facts.keys() - {"endpoint", MOVED_FROM}):
            self._wrong(f"{place}.{key}", f"a model of {endpoint} has no such key")
        moved_from = table.get(MOVED_FROM, {})
        if isinstance(moved_from, dict):
            self.moved_from[model] = self._prices(f"{place}.{MOVED_FROM}", moved_from)
        else:
            self._wrong(f"{place}.{MOVED_FROM}", "must be a table of prices")
        if len(self.problems) == before:
            self.prices.append(ModelPrice(model, cast("Endpoint", endpoint), picos, **facts))

    def _prices(self, place: str, table: Table) -> Picos:
        picos = {}
        for key, value in table.items():
            unit = UNIT_OF_KEY.get(key)
            if unit is None:
                self._wrong(f"{place}.{key}", f"no such price; there are {', '.join(UNIT_OF_KEY)}")
            elif isinstance(value, bool) or not isinstance(value, (int, Decimal)):
                self._wrong(f"{place}.{key}", "must be a number")
            else:
                try:
                    picos[unit.name] = unit.picos(Decimal(value))
                except ValueError as error:
                    self._wrong(f"{place}.{key}", str(error))
        return picos

    def _check_units(self, place: str, endpoint: str, units: set[str]) -> None:
        for unit in sorted(units - set(_UNITS[endpoint])):
            self._wrong(place, f"{endpoint} is not billed by {unit}")
        if not units:
            return
        if endpoint == "chat" and not units >= set(_CHAT_UNITS):
            self._wrong(place, "chat needs a price for input_tokens and one for output_tokens")
        if endpoint == "embed" and ("input_tokens" not in units or {"image_tokens", "images"} <= units):
            self._wrong(place, "embed needs a price for input_tokens, and may have one for image_tokens or for images")
        if endpoint == "rerank" and len(units & set(_UNITS["rerank"])) != 1:
            self._wrong(place, "rerank needs a price for search_units or one for input_tokens")

    def _fact(self, place: str, name: str, value: Any) -> Any:
        if name == "thinks":
            if type(value) not in {bool, type(None)}:
                self._wrong(place, "must be true or false")
            return bool(value)
        if type(value) is not int or not 1 <= value <= TOKENS_MAX:
            self._wrong(place, f"must be a whole number from 1 to {TOKENS_MAX}")
        return value

    def _wrong(self, place: str, problem: str) -> None:
        self.problems.append(f"{place}: {problem}")


def _is_name(model: str) -> bool:
    return 0 < len(model) <= MODEL_CHARS_MAX and model.isascii() and model.isprintable() and model == model.strip()
