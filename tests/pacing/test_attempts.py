"""Attempts take turns: before anything is held, again for each repeat, and give back what they do not use."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from clients.cohere_key import CohereKey
from clients.errors import Billing, UpstreamError
from clients.key_ring import KeyRing
from clients.pacing.allowance import Allowance
from clients.pacing.errors import UpstreamBusy
from clients.pacing.load import Load
from clients.pacing.pacer import Pacer
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1 import error_reason_pb2 as reasons
from service.attempts import Attempts
from service.books.errors import HoldExceedsLimit
from service.errors import DeadlineTooShort
from service.pacing.rows import Paces
from service.storage.database import Database
from service.telemetry.metrics import Metrics
from tests.e2e.requests import until
from tests.storage.statements import look
from tests.unit.service.test_attempts import ANSWER, QUOTE, UNREACHABLE, USD, Once, attempts_on, new_call, refused_with

ONE = Allowance(chat_requests=1)
MINUTE_S = 1.0
"""The limit's; after the first a turn takes twice as long."""


@pytest.fixture
def client() -> TeamClient:
    keys = KeyRing()
    keys.use(CohereKey("one", 1))
    return TeamClient("demo", URL("http://127.0.0.1:1"), keys, "file")


@pytest.fixture
def pacer(sqlite_database: Database) -> Pacer:
    made = Pacer(Paces(sqlite_database), Metrics(), minute_us=int(MINUTE_S * 1e6))
    made.take_over({"demo": ONE})
    return made


@pytest.fixture
async def attempts(sqlite_database: Database, pacer: Pacer) -> AsyncIterator[Attempts]:
    async with attempts_on(sqlite_database, pacer=pacer) as made:
        yield made
    pacer.close()


@contextlib.asynccontextmanager
async def one_a_minute(database: Database) -> AsyncIterator[Attempts]:
    """In minutes of 60 s: whoever finds no turn is refused, for the next is two of them away."""
    pacer = Pacer(Paces(database), Metrics())
    pacer.take_over({"demo": ONE})
    async with attempts_on(database, pacer=pacer) as made:
        yield made
    pacer.close()


async def held_nanos(database: Database) -> int:
    ((held,),) = await look(database, "SELECT COALESCE(SUM(hold_nanos), 0) FROM call_hold WHERE state = 'open'")
    return int(held)


async def test_nothing_is_held_while_an_attempt_waits_for_its_turn(
    attempts: Attempts, client: TeamClient, pacer: Pacer, sqlite_database: Database
) -> None:
    await attempts.run(new_call(), client, QUOTE, Once(sends=True))
    began_s = asyncio.get_running_loop().time()
    call = new_call()
    second = asyncio.create_task(attempts.run(call, client, QUOTE, Once(sends=True)))
    await until(lambda: pacer.waiting("demo"))
    held, on_record = await held_nanos(sqlite_database), call.on_record

    assert (held, on_record) == (0, False)
    assert await second is ANSWER
    assert asyncio.get_running_loop().time() - began_s > 0.9 * MINUTE_S


async def test_nothing_is_held_while_a_repeat_waits_for_its_turn(
    attempts: Attempts, client: TeamClient, pacer: Pacer, sqlite_database: Database
) -> None:
    once = Once(UNREACHABLE, sends=True)
    call = asyncio.create_task(attempts.run(new_call(), client, QUOTE, once))
    await until(lambda: once.slots and pacer.waiting("demo"))
    await until_held_is_free(sqlite_database)
    outcomes = await look(sqlite_database, "SELECT kind FROM audit WHERE kind = 'outcome'")

    assert pacer.waiting("demo") == len(outcomes) == len(once.slots) == 1
    assert await call is ANSWER
    assert len(once.slots) == 2


async def test_a_repeat_whose_turn_comes_too_late_ends_as_the_attempt_before(
    attempts: Attempts, client: TeamClient, sqlite_database: Database
) -> None:
    with pytest.raises(UpstreamError) as failed:
        await attempts.run(new_call(0.8), client, QUOTE, Once(UNREACHABLE, sends=True))

    assert failed.value is UNREACHABLE
    await until_held_is_free(sqlite_database)


async def test_a_call_whose_turn_comes_too_late_is_refused_before_anything_is_held(
    attempts: Attempts, client: TeamClient, sqlite_database: Database
) -> None:
    await attempts.run(new_call(), client, QUOTE, Once(sends=True))
    refused, once = new_call(0.5), Once()
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(UpstreamBusy):
        await attempts.run(refused, client, QUOTE, once)

    assert asyncio.get_running_loop().time() - began_s < 0.4
    assert not once.slots
    assert not refused.on_record
    assert len(await look(sqlite_database, "SELECT kind FROM audit WHERE kind = 'intent'")) == 1


async def test_half_of_a_calls_time_is_left_for_the_answer(
    attempts: Attempts, client: TeamClient, pacer: Pacer
) -> None:
    await attempts.run(new_call(), client, QUOTE, Once(sends=True))
    turn_s = 2.1 * MINUTE_S
    with pytest.raises(UpstreamBusy):
        await attempts.run(new_call(1.5 * turn_s), client, QUOTE, Once(sends=True))
    waiting = asyncio.create_task(attempts.run(new_call(2.5 * turn_s), client, QUOTE, Once(sends=True)))
    await until(lambda: pacer.waiting("demo"))
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_a_turn_whose_hold_is_refused_is_anothers(client: TeamClient, sqlite_database: Database) -> None:
    async with one_a_minute(sqlite_database) as attempts:
        for _ in range(3):
            with pytest.raises(HoldExceedsLimit):
                await attempts.run(new_call(), client, dataclasses.replace(QUOTE, hold_nanos=2 * USD), Once())
        assert await attempts.run(new_call(5.0), client, QUOTE, Once(sends=True)) is ANSWER
        with pytest.raises(UpstreamBusy):
            await attempts.run(new_call(5.0), client, QUOTE, Once())


async def test_a_turn_with_which_nothing_was_sent_is_used_again(client: TeamClient, sqlite_database: Database) -> None:
    once = Once(UNREACHABLE, sends=False)
    async with one_a_minute(sqlite_database) as attempts:
        assert await attempts.run(new_call(5.0), client, QUOTE, once) is ANSWER
        with pytest.raises(UpstreamError) as failed:
            await attempts.run(new_call(5.0), client, QUOTE, Once(UNREACHABLE, sends=True))

    assert len(once.slots) == 2
    assert failed.value is UNREACHABLE


async def test_a_turn_that_comes_when_no_time_is_left_is_anothers(
    client: TeamClient, sqlite_database: Database
) -> None:
    class Late(TeamClient):
        async def slot(self, endpoint: str, pacer: Pacer, load: Load, latest_s: float) -> Slot:
            slot = await super().slot(endpoint, pacer, load, latest_s)
            await asyncio.sleep(0.3)
            return slot

    late = Late("demo", client.base_url, client.keys, "file")
    async with one_a_minute(sqlite_database) as attempts:
        with pytest.raises(DeadlineTooShort):
            await attempts.run(new_call(0.35), late, QUOTE, Once())
        assert await attempts.run(new_call(5.0), client, QUOTE, Once(sends=True)) is ANSWER
        with pytest.raises(UpstreamBusy):
            await attempts.run(new_call(5.0), client, QUOTE, Once())


async def test_a_429_makes_the_key_slower_for_all_and_other_failures_do_not(
    attempts: Attempts, client: TeamClient, sqlite_database: Database
) -> None:
    limited = UpstreamError(
        reasons.ERROR_REASON_COHERE_RATE_LIMITED, "too many", billing=Billing.NONE, status=429, retry_after_s=9.0
    )
    seen = []
    for failure in (refused_with(500), limited):
        with pytest.raises(UpstreamError):
            await attempts.run(new_call(), client, QUOTE, Once(failure))
        seen.append(await look(sqlite_database, "SELECT permille FROM pace"))

    assert seen[0] == [(1000,)]
    await until_permille_is(sqlite_database, 800)


async def until_permille_is(database: Database, permille: int) -> None:
    async with asyncio.timeout(5):
        while await look(database, "SELECT permille FROM pace") != [(permille,)]:
            await asyncio.sleep(0.01)


async def until_held_is_free(database: Database) -> None:
    async with asyncio.timeout(5):
        while await held_nanos(database):
            await asyncio.sleep(0.01)
