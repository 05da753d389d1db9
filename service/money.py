"""Nano-USD, in which everything is counted here, ↔ Money of the contract, text for people, and Decimal of the config.

Exact everywhere: no floats, and nothing is rounded on the way.
"""

from decimal import Decimal

from cohort.v1.usage_pb2 import Money

NANOS_PER_USD = 1_000_000_000
CURRENCY = "USD"

_CENT_NANOS = NANOS_PER_USD // 100
_USD_DIGITS_MAX = 30
"""Of a Decimal, on either side of the point: far more than any amount has, and few enough to write out."""


def money_of(nanos: int) -> Money:
    """Nano-USD as the contract has it; units and nanos bear the same sign."""
    money = Money()
    fill_money(money, nanos)
    return money


def fill_money(money: Money, nanos: int) -> None:
    """Writes nano-USD into a message that is empty."""
    units, rest = divmod(abs(nanos), NANOS_PER_USD)
    money.currency_code = CURRENCY
    money.units, money.nanos = (units, rest) if nanos >= 0 else (-units, -rest)


def nanos_of(money: Money) -> int:
    """Nano-USD of an amount that has passed validation."""
    return money.units * NANOS_PER_USD + money.nanos


def usd_of(nanos: int) -> str:
    """Nano-USD as text in dollars, with two decimals or as many as it takes, up to nine: "25.00", "0.018796"."""
    units, rest = divmod(abs(nanos), NANOS_PER_USD)
    cents, finer = divmod(rest, _CENT_NANOS)
    decimals = f"{cents:02}" if not finer else f"{rest:09}".rstrip("0")
    return f"{'-' if nanos < 0 else ''}{units}.{decimals}"


def nanos_of_usd(usd: Decimal) -> int:
    """Dollars as nano-USD.

    Raises:
        ValueError: It is not a number, or has more digits than an amount of money.
    """
    if not usd.is_finite() or (usd and not -_USD_DIGITS_MAX < usd.adjusted() < _USD_DIGITS_MAX):
        raise ValueError("not an amount of money")
    numerator, denominator = usd.as_integer_ratio()  # exact; arithmetic of Decimals would round to 28 digits
    nanos, finer = divmod(numerator * NANOS_PER_USD, denominator)
    if finer:
        raise ValueError("finer than a billionth of a dollar")
    return nanos
