"""Amounts of money for people."""

from cohort.v1.usage_pb2 import Money
from service.money import nanos_of, usd_of


def dollars(amount: Money) -> str:
    """Exact: `$12.50`, and as many decimals as it takes."""
    usd = usd_of(nanos_of(amount))
    return f"-${usd[1:]}" if usd.startswith("-") else f"${usd}"
