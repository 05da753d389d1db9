"""Holds a new price book against the last one: a price that moves far is a mistake, unless the file says it is not."""

from service.pricing.book import PriceBook
from service.pricing.model_price import UNIT_OF_NAME, ModelPrice

FACTOR_MAX = 5
"""Prices of models have moved by less; mistakes move them by 10 or 1,000, as in catalogues with 100.00 for 0.10."""


def check_moves(before: PriceBook | None, after: PriceBook) -> list[str]:
    """Finds prices that move by more than `FACTOR_MAX`, to or from zero, or to another unit, unconfirmed.

    A confirmation names the old price: `[models."x".moved_from]` with the old key and value. So it holds for this
    one move, and one that is forgotten in the file lets nothing else pass. A model that is new, or had no price,
    does not move; nor does one whose price is taken away, for its calls are then refused.

    Args:
        before: The version in force; None if there is none yet.
        after: The one to follow it.

    Returns:
        A problem each, as `path: what is wrong`.
    """
    problems: list[str] = []
    for new in after.priced():
        old = before.price_of(new.model) if before is not None else None
        if old is not None:
            problems += _problems(old, new, after)
    return problems


def _problems(old: ModelPrice, new: ModelPrice, after: PriceBook) -> list[str]:
    confirmed = after.confirmed_from(new.model)
    problems = []
    for name, old_picos in old.picos_per_unit.items():
        new_picos = new.picos_per_unit.get(name)
        if not _moves_far(old_picos, new_picos) or confirmed.get(name) == old_picos:
            continue
        unit = UNIT_OF_NAME[name]
        old_usd = unit.usd(old_picos)
        if new_picos is None:
            how = f"is {old_usd} no longer, and in another unit"
        else:
            how = f"moves from {old_usd} to {unit.usd(new_picos)}, by more than {FACTOR_MAX} times"
        confirmation = f'[models."{new.model}".moved_from] {unit.key} = {old_usd}'
        problems.append(f"models.{new.model}.{unit.key}: {how}; if this is meant, add {confirmation}")
    return problems


def _moves_far(old_picos: int, new_picos: int | None) -> bool:
    if new_picos is None:
        return True
    if old_picos == new_picos:
        return False
    # Zero is any number of times less.
    return new_picos > FACTOR_MAX * old_picos or old_picos > FACTOR_MAX * new_picos
