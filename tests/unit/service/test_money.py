from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort.v1.usage_pb2 import Money
from service.money import NANOS_PER_USD, money_of, nanos_of, nanos_of_usd, usd_of

amounts = st.integers(-(2**63), 2**63 - 1)


@given(amounts)
def test_money_holds_every_amount_exactly(nanos: int) -> None:
    assert nanos_of(money_of(nanos)) == nanos


@given(amounts)
def test_units_and_nanos_of_money_bear_one_sign(nanos: int) -> None:
    money = money_of(nanos)

    assert money.currency_code == "USD"
    assert abs(money.nanos) < NANOS_PER_USD
    assert money.units * money.nanos >= 0


@given(amounts)
def test_text_in_dollars_says_every_amount_exactly(nanos: int) -> None:
    assert nanos_of_usd(Decimal(usd_of(nanos))) == nanos


@given(amounts)
def test_text_in_dollars_has_two_decimals_or_as_many_as_it_takes(nanos: int) -> None:
    decimals = usd_of(nanos).partition(".")[2]

    assert 2 <= len(decimals) <= 9
    assert len(decimals) == 2 or not decimals.endswith("0")


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (-1, "-0.000000001"),
        (18_796_000, "0.018796"),
        (100_000_000, "0.10"),
        (25_000_000_000, "25.00"),
        (12_345_678_901, "12.345678901"),
        (-1_750_000_000, "-1.75"),
    ],
)
def test_amounts_read_as_people_write_them(nanos: int, text: str) -> None:
    assert usd_of(nanos) == text


def test_an_amount_below_one_dollar_keeps_its_sign() -> None:
    assert money_of(-750_000_000) == Money(currency_code="USD", units=0, nanos=-750_000_000)


@pytest.mark.parametrize(
    ("usd", "nanos"), [("25.00", 25 * NANOS_PER_USD), ("0.000000001", 1), ("1E+3", 1000 * NANOS_PER_USD), ("-0", 0)]
)
def test_dollars_of_the_config_become_nanos(usd: str, nanos: int) -> None:
    assert nanos_of_usd(Decimal(usd)) == nanos


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20))
def test_dollars_are_never_rounded(usd: Decimal) -> None:
    numerator, denominator = usd.as_integer_ratio()

    assert nanos_of_usd(usd) * denominator == numerator * NANOS_PER_USD


@pytest.mark.parametrize("usd", ["0.0000000001", "1.0000000005", "NaN", "sNaN", "Infinity", "1E+999999", "1E-999999"])
def test_dollars_that_are_no_whole_nanos_are_refused(usd: str) -> None:
    with pytest.raises(ValueError, match=r"not an amount|finer than"):
        nanos_of_usd(Decimal(usd))
