import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import orjson
import pytest
from yarl import URL

from clients.cohere_key import KeyRing
from clients.errors import Billing, UpstreamError
from clients.pacing.pacer import Pacer
from clients.secrets.source import FileSource
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.usage_pb2 import BilledUnits
from service.attempts import ATTEMPTS_MAX, RETRY_AFTER_MAX_S, Answered, Attempts
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
def client(tmp_path: Path) -> TeamClient:
    (tmp_path / "key").write_text("one")
    return TeamClient("demo", URL("http://127.0.0.1:1"), KeyRing(FileSource(tmp_path / "key")))


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


async def test_a_refused_key_is_renewed_once(attempts: Attempts, client: TeamClient, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("two")
    once = Once(refused_with(401), refused_with(401))
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)

    assert [slot.key.authorization() for slot in once.slots] == ["Bearer one", "Bearer two"]


async def test_a_refused_key_that_did_not_change_is_not_tried_again(attempts: Attempts, client: TeamClient) -> None:
    once = Once(refused_with(401))
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, once)

    assert len(once.slots) == 1


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


async def test_what_cohere_says_of_the_key_is_kept(attempts: Attempts, client: TeamClient) -> None:
    with pytest.raises(UpstreamError):
        await attempts.run(new_call(), client, QUOTE, Once(refused_with(403)))
    rejected = client.keys.rejected
    await attempts.run(new_call(), client, QUOTE, Once())

    assert (rejected, client.keys.rejected) == (True, False)
