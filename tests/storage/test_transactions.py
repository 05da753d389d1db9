"""What a transaction promises, on every engine."""

import asyncio

import pytest

from service.storage.database import Database, Row, Transaction
from service.storage.errors import Conflict, DatabaseUnavailable, StorageError
from tests.storage.statements import INSERT, INSERT_WORDS, ids, look, run


async def test_what_was_committed_is_read(things: Database) -> None:
    await run(things, INSERT_WORDS, 1, "one")

    assert await look(things, "SELECT id, words, bytes, count FROM thing") == [(1, "one", None, 0)]


async def test_a_transaction_returns_what_its_work_returns(things: Database) -> None:
    async def work(_: Transaction) -> str:
        return "done"

    assert await things.transact(work) == "done"
    assert await things.read(work) == "done"


async def test_an_exception_out_of_the_work_is_passed_on_and_leaves_nothing(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await things.transact(work)

    await run(things, INSERT, 2)
    assert await ids(things) == [2]


async def test_a_work_that_ends_as_cancelled_leaves_nothing_and_holds_up_nobody(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await things.transact(work)

    await run(things, INSERT, 2)
    assert await ids(things) == [2]


@pytest.mark.parametrize(
    "statement", ["INSERT INTO thing (id) VALUES (1)", "INSERT INTO thing (id, count) VALUES (2, -1)"]
)
async def test_a_violated_constraint_is_a_conflict_and_leaves_nothing(things: Database, statement: str) -> None:
    await run(things, INSERT, 1)

    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 3)
        await transaction.fetch(statement)

    with pytest.raises(Conflict):
        await things.transact(work)

    assert await ids(things) == [1]


async def test_a_failed_statement_that_the_work_overlooks_fails_the_transaction(things: Database) -> None:
    async def work(transaction: Transaction) -> str:
        await transaction.fetch(INSERT, 1)
        with pytest.raises(Conflict):
            await transaction.fetch(INSERT, 1)
        return "not to be believed"

    with pytest.raises(Conflict):
        await things.transact(work)

    assert await ids(things) == []


async def test_after_a_failed_statement_every_further_one_fails(things: Database) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.fetch(INSERT, 1)
        for _ in range(2):
            with pytest.raises(Conflict):
                await transaction.fetch(INSERT, 1)
        with pytest.raises(Conflict):
            await transaction.fetch_each(INSERT, [(2,), (3,)])
        with pytest.raises(Conflict):
            await transaction.execute_each(INSERT, [(2,), (3,)])

    with pytest.raises(Conflict):
        await things.transact(work)

    assert await ids(things) == []


async def test_a_statement_that_the_database_does_not_know_is_a_fault_of_ours(things: Database) -> None:
    with pytest.raises(StorageError) as raised:
        await run(things, "SELEKT 1")

    assert type(raised.value) is StorageError


@pytest.mark.parametrize("values", [(1,), (1, "one", 2)])
async def test_values_that_do_not_fit_the_placeholders_are_a_fault_of_ours(things: Database, values: Row) -> None:
    with pytest.raises(StorageError) as raised:
        await run(things, INSERT_WORDS, *values)

    assert type(raised.value) is StorageError


async def test_transactions_asked_for_together_run_one_after_the_other_in_their_order(things: Database) -> None:
    await run(things, INSERT, 0)

    async def add(transaction: Transaction) -> int:
        ((count,),) = await transaction.fetch("SELECT count FROM thing WHERE id = 0")
        await transaction.fetch("UPDATE thing SET count = $1 WHERE id = 0", count + 1)
        return int(count)

    assert await asyncio.gather(*(things.transact(add) for _ in range(50))) == list(range(50))


async def test_a_caller_who_leaves_does_not_stop_the_transaction(things: Database) -> None:
    waiting = [asyncio.create_task(run(things, INSERT, number)) for number in range(5)]
    await asyncio.sleep(0)  # each has asked
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    await run(things, INSERT, 5)
    assert await ids(things) == [0, 1, 2, 3, 4, 5]
    assert all(task.cancelled() for task in waiting)


async def test_a_reader_who_leaves_does_not_stop_the_next_one(things: Database) -> None:
    for moments in range(8):
        reading = asyncio.create_task(ids(things))
        for _ in range(moments):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    assert await ids(things) == []


async def test_closing_waits_for_what_was_asked_for(things: Database) -> None:
    waiting = [asyncio.create_task(run(things, INSERT, number)) for number in range(20)]
    await asyncio.sleep(0)  # each has asked

    await things.close()

    assert [task.done() for task in waiting] == [True] * 20
    assert [task.result() for task in waiting] == [[]] * 20


async def test_what_is_asked_for_after_closing_is_refused(things: Database) -> None:
    await things.close()
    await things.close()

    with pytest.raises(DatabaseUnavailable):
        await run(things, INSERT, 1)
    with pytest.raises(DatabaseUnavailable):
        await ids(things)


async def test_the_clock_stands_in_statements_and_moves_on(things: Database) -> None:
    async def work(transaction: Transaction) -> list[int]:
        return [(await transaction.fetch("SELECT clock_us()"))[0][0] for _ in range(20)]

    before_us = await things.now_us()
    times_us = await things.transact(work)
    after_us = await things.now_us()

    assert [before_us, *times_us, after_us] == sorted([before_us, *times_us, after_us])
    assert len(set(times_us)) > 1  # it is not the time at which the transaction began
    assert after_us - before_us < 10_000_000
