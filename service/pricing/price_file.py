"""The text of price files → label, models and confirmations; an override adds to the shipped file or replaces in it."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from service.pricing.entries import MOVED_FROM, PRICE, Entries, Picos, Table
from service.pricing.model_price import ModelPrice

_LABEL: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}")


class PriceBookError(Exception):
    """A price book cannot be used.

    Attributes:
        problems: All of them, each as `file: path: what is wrong`.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class PriceFile:
    """What one or two price files say.

    Attributes:
        label: The version's name.
        prices: One for each model, also for those without a price.
        moved_from: Model → the old prices, by unit, that a move of its prices is confirmed against.
    """

    label: str
    prices: list[ModelPrice]
    moved_from: dict[str, Picos]


def read(text: str, *, name: str, base: str | None = None) -> PriceFile:
    """Reads a price file, over another one if *base* is its text.

    A key of a model's entry replaces that of the same model in *base*. Prices are replaced together, with their
    confirmation: a new unit must not stand beside the old one.

    Args:
        text: TOML; its version names the whole.
        name: What problems are told under.
        base: A price file that is known to be right.

    Raises:
        PriceBookError: With every problem found.
    """
    document = _document(text, name)
    problems = list(_head_problems(document))
    entries = Entries()
    shipped = {} if base is None else _document(base, name)["models"]
    for model, entry in _merged(shipped, document.get("models", {})):
        if isinstance(entry, dict):
            entries.take(f"models.{model}", model, entry)
        else:
            problems.append(f"models.{model}: must be a table")
    problems += entries.problems
    if problems:
        raise PriceBookError([f"{name}: {problem}" for problem in problems])
    return PriceFile(document["version"], entries.prices, entries.moved_from)


def _document(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise PriceBookError([f"{name}: not TOML: {error}"]) from None


def _head_problems(document: Table) -> Iterator[str]:
    for key in sorted(document.keys() - {"version", "models"}):
        yield f"{key}: a price file has no such key"
    label = document.get("version")
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        yield 'version: must be 1 to 40 letters, digits, dots, - and _, such as "2026-11-21"'
    if not isinstance(document.get("models", {}), dict):
        yield "models: must be a table of models"


def _merged(shipped: Table, changes: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(changes, dict):
        return
    for model in {**shipped, **changes}:
        entry, change = shipped.get(model, {}), changes.get(model, {})
        if not isinstance(change, dict):
            yield model, change
            continue
        if any(key.startswith(PRICE) for key in change):
            entry = {key: value for key, value in entry.items() if not key.startswith(PRICE) and key != MOVED_FROM}
        yield model, {**entry, **change}
