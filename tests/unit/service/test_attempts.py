import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast
from zoneinfo import ZoneInfo

import orjson
import pytest
from yarl import URL

from clients.breaker import TRIAL_S
from clients.cohere_key import CohereKey
from clients.errors import Billing, UpstreamError
from clients.key_ring import KeyRing
from clients.pacing.pacer import Pacer
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.usage_pb2 import BilledUnits
from service.attempt_ends import RETRY_AFTER_MAX_S, Answered
from service.attempts import ATTEMPTS_MAX, Attempts
from service.books.alerts import Alerts
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.errors import HoldExceedsLimit
from service.call import Call
from service.errors import DeadlineTooShort
from service.identity.principal import Principal
from service.pacing.rows import Paces
from service.pricing import load
from service.pricing.cost import cost_nanos
from service.quote import quote_of
from service.snapshot import BudgetTerms, Snapshot
from service.storage.database import Database
from service.telemetry.metrics import Metrics

USD = 10**9
QUOTE = quote_of(load(), "demo", "chat", ChatRequest(model="command-a-03-2025", max_tokens=100))
BILLED = BilledUnits(input_tokens=4, output_tokens=2)
ANSWER = Answered(BILLED)
UNREACHABLE = UpstreamError(reasons.ERROR_REASON_COHERE_UNAVAILABLE, "away", billing=Billing.NONE)


def refused_with(status: int, **more: float) -> UpstreamError:
    return UpstreamError(
        reasons.ERROR_REASON_COHERE_UNAVAILABLE,
        "no",
        billing=Billing.NONE,
        status=status,
        retry_after_s=more.get("wait"),
    )


@pytest.fixture
def client() -> TeamClient:
    keys = KeyRing()
    keys.use(CohereKey("one", 1))
    return TeamClient("demo", URL("http://127.0.0.1:1"), keys, "file")


async def unchanged() -> None:
    """A source that has what it had."""


def changed(client: TeamClient) -> Callable[[], Awaitable[None]]:
    """A source that has another version than the first."""

    async def renew() -> None:
        client.keys.use(CohereKey("two", 2))

    return renew


class Once:
    """An attempt that fails as told, then succeeds."""

    def __init__(self, *failures: UpstreamError, sends: bool = False) -> None:
        self.failures = list(failures)
        self.sends = sends
        self.slots: list[Slot] = []

    async def __call__(self, slot: Slot) -> Answered:
        self.slots.append(slot)
        slot.sent = self.sends
        if self.failures:
            raise self.failures.pop(0)
        return ANSWER


def new_call(timeout_s: float = 60.0) -> Call:
    call = Call("/x/Y", cast("Snapshot", None), asyncio.get_running_loop().time() + timeout_s)
    call.principal = Principal("demo", "tests", frozenset(), "access_key", "")
    return call


@pytest.fixture
async def attempts(sqlite_database: Database) -> AsyncIterator[Attempts]:
    async with attempts_on(sqlite_database) as made:
        yield made


@pytest.fixture
async def strict_attempts(sqlite_database: Database) -> AsyncIterator[Attempts]:
    async with attempts_on(sqlite_database, strict=True) as made:
        yield made


@contextlib.asynccontextmanager
async def attempts_on(
    sqlite_database: Database, *, strict: bool = False, pacer: Pacer | None = None
) -> AsyncIterator[Attempts]:
    committer = Committer(sqlite_database, DatabaseClock(await sqlite_database.now_us()), lambda _: None)
    metrics = Metrics()
    alerts = Alerts(metrics.alert_raised, lambda: USD)
    budget = BudgetTerms(USD, ZoneInfo("UTC"))
    books = Books(sqlite_database, committer)
    pacer = pacer or Pacer(Paces(sqlite_database), metrics)
    yield Attempts(pacer, books, lambda _: budget, metrics, alerts, strict=strict, jitter=lambda: 0.0)
    assert await committer.close(10.0) == 0


@pytest.mark.parametrize("failure", [UNREACHABLE, refused_with(503), refused_with(429, wait=0.0)])
async def test_what_proved_free_is_tried_again(attempts: Attempts, client: TeamClient, failure: UpstreamError) -> None:
    once = Once(failure, failure)

    assert await attempts.run(new_call(), client, QUOTE, once) is ANSWER
    assert len(once.slots) == 3


@pytest.mark.parametrize(
    "failure",
    [
        UpstreamError(reasons.ERROR_REASON_COHERE_UNAVAILABLE, "html", billing=Billing.UNKNOWN, status=503),
        UpstreamError(reasons.ERROR_REASON_COHERE_CONNECTION_LOST, "cut", billing=Billing.UNKNOWN),
        UpstreamError(reasons.ERROR_REASON_UPSTREAM_POOL_FULL, "full", billing=Billing.NONE, retry_after_s=1.0),
        refused_with(400),
        refused_with(500),
        refused_with(504),
        refused_with(429),
        refused_with(429, wait=RETRY_AFTER_MAX_S + 1),
    ],
)
async def test_everything_else_is_not(attempts: Attempts, client: TeamClient, failure: UpstreamError) -> None:
    once = Once(failure)
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)

    assert len(once.slots) == 1


async def test_there_is_an_end_to_trying(attempts: Attempts, client: TeamClient) -> None:
    once = Once(*[UNREACHABLE] * 10)
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)

    assert len(once.slots) == ATTEMPTS_MAX


async def test_a_wait_that_does_not_fit_the_deadline_is_not_begun(attempts: Attempts, client: TeamClient) -> None:
    once = Once(refused_with(429, wait=4.0))
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(2.0), client, QUOTE, once)

    assert len(once.slots) == 1


async def test_a_call_without_time_is_refused_before_anything_is_sent(attempts: Attempts, client: TeamClient) -> None:
    once = Once()
    with pytest.raises(DeadlineTooShort):
        await attempts.run(new_call(0.09), client, QUOTE, once)

    assert not once.slots


async def test_nobody_tries_again_for_a_caller_that_left(attempts: Attempts, client: TeamClient) -> None:
    call = new_call()
    call.detached = True
    once = Once(UNREACHABLE)
    with pytest.raises(UpstreamError):
        await attempts.run(call, client, QUOTE, once)

    assert len(once.slots) == 1


async def test_a_refused_key_is_renewed_once_for_each_version(attempts: Attempts, client: TeamClient) -> None:
    client.keys.renew = changed(client)
    once = Once(refused_with(401), refused_with(401))
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)

    assert [slot.key.authorization() for slot in once.slots] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refused_key_that_did_not_change_is_not_tried_again_and_the_next_call_holds_nothing(
    attempts: Attempts, client: TeamClient, sqlite_database: Database, status: int
) -> None:
    once, next_call = Once(refused_with(status), sends=True), new_call()
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)
    with pytest.raises(UpstreamError) as raised:
        await attempts.run(next_call, client, QUOTE, once)
    rows = await sqlite_database.read(lambda tx: tx.fetch("SELECT kind FROM audit WHERE kind <> 'notice'"))

    assert len(once.slots) == 1
    assert (raised.value.billing, next_call.attempts, next_call.on_record) == (Billing.NONE, 0, False)
    assert sorted(kind for (kind,) in rows) == ["intent", "outcome"]


async def test_a_refused_key_is_renewed_though_its_caller_has_left(attempts: Attempts, client: TeamClient) -> None:
    client.keys.renew = changed(client)
    call = new_call()
    call.detached = True
    with pytest.raises(UpstreamError):
        await attempts.run(call, client, QUOTE, Once(refused_with(401)))
    once = Once()
    await attempts.run(new_call(), client, QUOTE, once)

    assert [slot.key.authorization() for slot in once.slots] == ["Bearer two"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_version_gives_way_to_the_one_before_it(
    attempts: Attempts, client: TeamClient, status: int
) -> None:
    client.keys.use(CohereKey("two", 2), client.keys.in_use)
    client.keys.renew = unchanged
    once = Once(refused_with(status), sends=True)

    assert await attempts.run(new_call(), client, QUOTE, once) is ANSWER
    assert [slot.key.version for slot in once.slots] == [2, 1]


async def test_a_call_that_was_to_find_out_and_could_not_be_paid_for_leaves_it_to_the_next(attempts: Attempts) -> None:
    time_s = [0.0]
    keys = KeyRing(clock_s=lambda: time_s[0])
    keys.use(CohereKey("one", 1))
    client = TeamClient("demo", URL("http://127.0.0.1:1"), keys, "file")
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, Once(refused_with(402), sends=True))
    time_s[0] += TRIAL_S
    with pytest.raises(HoldExceedsLimit):
        await attempts.run(new_call(), client, dataclasses.replace(QUOTE, hold_nanos=2 * USD), Once())

    assert await attempts.run(new_call(), client, QUOTE, Once(sends=True)) is ANSWER


async def test_the_outcome_of_an_attempt_says_nothing_of_the_one_before(
    attempts: Attempts, client: TeamClient, sqlite_database: Database
) -> None:
    away = UpstreamError(
        reasons.ERROR_REASON_COHERE_UNAVAILABLE,
        "away",
        billing=Billing.NONE,
        debug_trace_id="of-the-first",
        fault="ConnectionRefusedError",
    )
    await attempts.run(new_call(), client, QUOTE, Once(away))
    rows = await sqlite_database.read(lambda tx: tx.fetch("SELECT body FROM audit WHERE kind = 'outcome' ORDER BY seq"))
    first, second = (orjson.loads(body) for (body,) in rows)

    assert (first["upstream_fault"], first["debug_trace_id"]) == ("ConnectionRefusedError", "of-the-first")
    assert "upstream_fault" not in second
    assert "debug_trace_id" not in second


async def test_where_failures_are_charged_the_receipt_has_those_of_all_attempts(
    strict_attempts: Attempts, client: TeamClient
) -> None:
    call = new_call()
    await strict_attempts.run(call, client, QUOTE, Once(refused_with(503), sends=True))

    assert call.cost_nanos == QUOTE.hold_nanos + (cost_nanos(QUOTE.price, BILLED) or 0)


async def test_a_call_is_on_record_from_its_first_hold_on(attempts: Attempts, client: TeamClient) -> None:
    early, refused, admitted, left = new_call(0.09), new_call(), new_call(), new_call()
    with pytest.raises(DeadlineTooShort):
        await attempts.run(early, client, QUOTE, Once())
    with pytest.raises(HoldExceedsLimit):
        await attempts.run(refused, client, dataclasses.replace(QUOTE, hold_nanos=2 * USD), Once())
    await attempts.run(admitted, client, QUOTE, Once())
    leaving = asyncio.create_task(attempts.run(left, client, QUOTE, Once()))
    while not left.attempts:
        await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})

    assert leaving.cancelled()
    assert [call.on_record for call in (early, refused, admitted, left)] == [False, False, True, True]
