"""Sums of whole numbers on PostgreSQL: exact, or refused."""

import asyncpg
import pytest

from service.books.usage_statement import USAGE
from service.storage.database import Transaction
from service.storage.errors import ValueRefused
from service.storage.postgres import PostgresDatabase
from service.storage.postgres_sums import with_whole_sums

_SUMS = """
SELECT CAST(SUM(period_end_us) AS BIGINT), CAST(SUM(committed_nanos) AS BIGINT) FROM budget_period
WHERE period_start_us >= $1"""
_ADD = """
INSERT INTO budget_period (budget_id, period_start_us, period_end_us, committed_nanos, frozen)
VALUES ($1, $2, $3, $4, 0)"""
_LARGEST = 2**63 - 1


@pytest.mark.parametrize("nanos", [(), (5,), (-3, -4), (_LARGEST, -_LARGEST, 7)])
async def test_a_whole_sum_is_what_was_added(postgres_database: PostgresDatabase, nanos: tuple[int, ...]) -> None:
    async def add(tx: Transaction) -> None:
        await tx.execute_each(_ADD, [("search", day, day + 1, each) for day, each in enumerate(nanos)])

    if nanos:
        await postgres_database.transact(add)
    ours = await postgres_database.read(lambda tx: tx.fetch(_SUMS, 0))

    assert ours == [(sum(range(1, len(nanos) + 1)), sum(nanos)) if nanos else (None, None)]


async def test_a_sum_beyond_64_bits_is_refused(postgres_database: PostgresDatabase) -> None:
    async def add(tx: Transaction) -> None:
        await tx.execute_each(_ADD, [("search", day, day + 1, _LARGEST) for day in range(2)])

    await postgres_database.transact(add)

    with pytest.raises(ValueRefused):
        await postgres_database.read(lambda tx: tx.fetch(_SUMS, 0))


async def test_a_report_is_summed_up_in_whole_numbers(postgres_url: str) -> None:
    adapted = with_whole_sums(USAGE)
    connection = await asyncpg.connect(postgres_url)
    prepared = await connection.prepare(adapted)
    types = [column.type.name for column in prepared.get_attributes()]
    await connection.close()

    assert "CAST(SUM(" not in adapted
    assert types.count("int8") == len(types) - 2


def test_no_other_sum_is_touched() -> None:
    others = "SELECT SUM(a), CAST(SUM(a + b) AS BIGINT), CAST(COALESCE(SUM(a), 0) AS BIGINT) FROM t"

    assert with_whole_sums(others) == others
