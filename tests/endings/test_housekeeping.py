"""Beside the calls, second by second: floods of refusals, lost attempts, the clock, a database that comes and goes."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import orjson
from structlog.testing import capture_logs

from service.bookkeeping import Bookkeeping
from service.books.alerts import BURST, Alerts
from service.books.books import Books
from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.content import ContentHasher
from service.books.entries import UTC
from service.books.refusals import RECORDS_MAX, SOURCES_MAX, TEAM_RECORDS_MAX
from service.snapshot import BudgetTerms, Snapshot
from service.storage.database import Database
from tests.books.making import admission, settlement
from tests.books.oracle import Tables, require_sound
from tests.books.scripted import START_US, Scene, in_simulated_time
from tests.endings.service import TEAM, Service

SECOND_US = 1_000_000
CALL_US_MAX = 900 * SECOND_US
LIMIT_NANOS = 1000
FLOOD = 10_000


def snapshot() -> Snapshot:
    return cast("Snapshot", SimpleNamespace(budgets={"search": BudgetTerms(LIMIT_NANOS, UTC)}))


def bookkeeping_of(scene: Scene, alerts: Alerts) -> Bookkeeping:
    books = Books(scene.database, scene.committer)
    return Bookkeeping(
        scene.database, scene.committer, scene.clock, ContentHasher(bytes(32)), alerts, books, scene.told.append
    )


@contextlib.asynccontextmanager
async def kept_house(kept: Bookkeeping) -> AsyncIterator[None]:
    keeping = asyncio.create_task(kept.keep_house(snapshot, CALL_US_MAX))
    yield
    assert not keeping.done()
    keeping.cancel()


def notices(tables: Tables) -> list[dict[str, Any]]:
    return [orjson.loads(row["body"]) for row in tables["audit"] if row["kind"] == "notice"]


@in_simulated_time
async def test_a_flood_of_refused_credentials_is_few_records_and_counts_in_full() -> None:
    """In five seconds from two sources, one of them within the first second."""
    service = await Service.new()
    raised: list[str] = []
    alerts = Alerts(lambda kind, _: raised.append(kind), lambda: 1)
    kept = bookkeeping_of(service.scene, alerts)
    kept.refusals = service.audit._refusals = service.refusals
    async with kept_house(kept):
        for number in range(FLOOD):
            if number % 100 == 0:
                await asyncio.sleep(0.05)
            service.begin(known=False, peer_name="ipv4:192.0.2.7:1")
            if number < 500:
                service.begin(known=False, peer_name="ipv4:192.0.2.8:1")
        await asyncio.wait([made.task for made in service.made])
        await asyncio.sleep(2.0)
    await service.scene.committer.close(5.0)
    tables = await require_sound(service.database)

    seconds = Counter(row["at_us"] // SECOND_US for row in tables["audit"] if row["kind"] == "answer")
    flooded = [notice for notice in notices(tables) if notice["event"] == "refusals_aggregated"]
    assert max(seconds.values()) <= 4 * RECORDS_MAX  # of two sources, and seconds of the house lie across those
    assert sum(seconds.values()) <= 7 * RECORDS_MAX
    assert len(flooded) <= 8
    assert {row["reason"]: row["calls"] for row in tables["usage_day"]} == {"CREDENTIAL_MISSING": FLOOD + 500}
    assert {made.got for made in service.made} == {("UNAUTHENTICATED", "CREDENTIAL_MISSING")}
    assert set(raised) == {"refused_credentials"}
    assert 1 <= len(raised) <= 8


@in_simulated_time
async def test_a_flood_from_addresses_without_number_is_few_records_and_lines_and_counts_in_full() -> None:
    """Each refusal is of an address of its own; one team's own refusals go on meanwhile, and are told apart."""
    service = await Service.new(limit_nanos=0)
    raised: list[str] = []
    kept = bookkeeping_of(service.scene, Alerts(lambda kind, _: raised.append(kind), lambda: 1))
    kept.refusals = service.audit._refusals = service.refusals
    with capture_logs() as logs:
        async with kept_house(kept):
            for number in range(FLOOD):
                if number % 100 == 0:
                    await asyncio.sleep(0.05)
                    service.begin()
                service.begin(known=False, peer_name=f"ipv4:192.{number >> 16}.{number >> 8 & 255}.{number & 255}:1")
            await asyncio.wait([made.task for made in service.made])
            await asyncio.sleep(2.0)
    await service.scene.committer.close(5.0)
    tables = await require_sound(service.database)

    strangers = Counter(
        row["at_us"] // SECOND_US for row in tables["audit"] if row["kind"] == "answer" and not row["team"]
    )
    flooded = [notice for notice in notices(tables) if notice["event"] == "refusals_aggregated"]
    lines = [orjson.loads(line) for line in service.log.getvalue().splitlines()]
    told = [line for line in logs if line["event"] == "refusals_aggregated"]
    calls = {row["team"]: row["calls"] for row in tables["usage_day"]}
    assert max(strangers.values()) <= 2 * TEAM_RECORDS_MAX  # seconds of the house lie across those
    assert sum(strangers.values()) <= 7 * TEAM_RECORDS_MAX
    assert len(flooded) <= 14  # one of strangers and one of the team each second
    assert all(len(notice["sources"]) <= SOURCES_MAX + 1 for notice in flooded)
    assert calls == {"": FLOOD, TEAM: FLOOD // 100}
    assert sum(line.get("team") == TEAM for line in lines) == FLOOD // 100
    assert sum("team" not in line for line in lines) == sum(strangers.values())
    assert sum(sum(line["counts"].values()) for line in told) == FLOOD - sum(strangers.values())
    assert set(raised) == {"refused_credentials"}
    assert 1 <= len(raised) <= 8


@in_simulated_time
async def test_refusals_of_a_flood_while_the_books_are_away_are_told_when_they_are_back() -> None:
    service = await Service.new()
    kept = bookkeeping_of(service.scene, Alerts(lambda *_: None, lambda: 1))
    kept.refusals = service.audit._refusals = service.refusals
    async with kept_house(kept):
        await asyncio.sleep(0.5)
        service.scene.database.is_down = True
        for _ in range(20):
            for number in range(100):
                service.begin(known=False, peer_name=f"ipv4:192.0.2.{number}:1")
            await asyncio.sleep(1.0)
        service.scene.database.is_down = False
        await asyncio.sleep(5.0)
    await service.scene.committer.close(5.0)
    tables = await require_sound(service.database)

    (told,) = [notice for notice in notices(tables) if notice["event"] == "refusals_aggregated"]
    assert 2_000 - 2 * TEAM_RECORDS_MAX <= sum(told["counts"].values()) <= 2_000
    assert [row["calls"] for row in tables["usage_day"]] == [sum(told["counts"].values())]
    assert {made.got for made in service.made} == {("UNAUTHENTICATED", "CREDENTIAL_MISSING")}


@in_simulated_time
async def test_a_burst_is_told_once_a_second_and_less_than_one_is_not() -> None:
    scene = await Scene.new()
    raised: list[str] = []
    kept = bookkeeping_of(scene, Alerts(lambda kind, _: raised.append(kind), lambda: 1))
    service = Service(scene)
    kept.refusals = service.audit._refusals = service.refusals
    async with kept_house(kept):
        await asyncio.sleep(0.5)
        for count in (BURST - 1, BURST, BURST):
            for _ in range(count):
                service.begin(known=False)
            await asyncio.sleep(1.0)

    assert raised == ["refused_credentials"] * 2


@in_simulated_time
async def test_an_attempt_that_nobody_ends_is_forfeited_and_still_settles() -> None:
    scene = await Scene.new()
    raised: list[tuple[str, str]] = []
    kept = bookkeeping_of(scene, Alerts(lambda *alert: raised.append(alert), lambda: 1000))
    lost, late = admission(hold_nanos=20, limit_nanos=LIMIT_NANOS), admission(hold_nanos=30, limit_nanos=LIMIT_NANOS)
    admitted = [await scene.committer.submit(entry) for entry in (lost, late)]
    async with kept_house(kept):
        await asyncio.sleep(CALL_US_MAX / SECOND_US - 61.0)
        before = await require_sound(scene.database)
        await asyncio.sleep(182.0)
        after = await require_sound(scene.database)
        await scene.committer.submit(settlement(late, admitted[1], 1))
        await asyncio.sleep(120.0)
    tables = await require_sound(scene.database)

    assert {row["state"] for row in before["call_hold"]} == {"open"}
    assert {row["state"] for row in after["call_hold"]} == {"forfeited"}
    assert {row["call_id"]: row["state"] for row in tables["call_hold"]} == {
        lost.call_id: "forfeited", late.call_id: "settled",
    }  # fmt: skip
    assert [row["committed_nanos"] for row in tables["budget_period"] if row["budget_id"] == "search"] == [21]
    assert raised == [("forfeited_share", "search")]


@in_simulated_time
async def test_the_house_is_kept_again_when_the_database_is_back() -> None:
    scene = await Scene.new()
    kept = bookkeeping_of(scene, Alerts(lambda *_: None, lambda: 1))
    await scene.committer.submit(admission())
    with capture_logs() as logs:
        async with kept_house(kept):
            scene.database.is_down = True
            await asyncio.sleep(CALL_US_MAX / SECOND_US + 300.0)
            scene.database.is_down = False
            scene.database.faults.extend(["begin", "statement", "commit", "answer"])
            await asyncio.sleep(300.0)
    tables = await require_sound(scene.database)

    assert {row["state"] for row in tables["call_hold"]} == {"forfeited"}
    assert "housekeeping not done" in {line["event"] for line in logs}
    assert "housekeeping failed" not in {line["event"] for line in logs}
    assert scene.told[-1]


@in_simulated_time
async def test_the_clock_follows_the_databases_within_ten_seconds() -> None:
    scene = await Scene.new()
    kept = bookkeeping_of(scene, Alerts(lambda *_: None, lambda: 1))
    async with kept_house(kept):
        for steps_us in (7200 * SECOND_US, -30 * SECOND_US):
            scene.database.steps_us = steps_us
            await asyncio.sleep(10.1)

            now_us = START_US + steps_us + round(asyncio.get_running_loop().time() * 1e6)
            assert abs(scene.clock.now_us() - now_us) < SECOND_US


@in_simulated_time
async def test_a_stop_tells_of_the_last_second_and_of_what_could_not_be_written() -> None:
    scene = await Scene.new()
    kept = bookkeeping_of(scene, Alerts(lambda *_: None, lambda: 1))
    service = Service(scene)
    kept.refusals = service.audit._refusals = service.refusals
    for _ in range(RECORDS_MAX + 5):
        service.begin(known=False)
    await asyncio.wait([made.task for made in service.made])
    begun = admission()
    admitted = await scene.committer.submit(begun)
    await kept.close()
    scene.database.is_down = False
    tables = await require_sound(scene.database)
    assert sum(row["calls"] for row in tables["usage_day"]) == RECORDS_MAX + 5

    scene = Scene(scene.database)  # the next start
    scene.committer.submit(settlement(begun, admitted, 1))
    scene.database.is_down = True
    with capture_logs() as logs:
        await bookkeeping_of(scene, Alerts(lambda *_: None, lambda: 1)).close()
    assert ("records not written", 1) in {(line["event"], line.get("entries")) for line in logs}


async def test_alerts_are_raised_where_they_are_kept(sqlite_database: Database) -> None:
    """Not in the thread of the connection that is asked."""
    threads: list[int] = []
    clock = DatabaseClock(await sqlite_database.now_us())
    committer = Committer(sqlite_database, clock, lambda _: None)
    books = Books(sqlite_database, committer)
    alerts = Alerts(lambda *_: threads.append(threading.get_ident()), lambda: 1)
    kept = Bookkeeping(sqlite_database, committer, clock, ContentHasher(bytes(32)), alerts, books, lambda _: None)
    await books.admit(admission(hold_nanos=100))
    await kept.forfeit(0)
    await kept._tell_forfeited(snapshot())
    await committer.close(5.0)

    assert threads == [threading.get_ident()]
