"""Pacing from outside: who waits, who is refused and told when to come back, what operators see, what it costs."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from clients.pacing.row import Asked, Taken
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.books.books import Books
from service.pacing.rows import Paces
from tests.e2e.cohort_service import Cohort, cohort, paced
from tests.e2e.requests import chat, embed, refused, until
from tests.e2e.test_limits import scraped

SIXTY = paced("chat_requests_per_minute = 60")
"""Six at once, then one in 1.05 × 60 / 54 s."""
ONE_S = 63 / 54


def chats(service: Cohort, count: int, timeout_s: float = 30.0) -> list["asyncio.Future[Any]"]:
    return [
        asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials, timeout=timeout_s))
        for _ in range(count)
    ]


async def test_calls_wait_for_their_turns_and_operators_see_how_many(tmp_path: Path) -> None:
    async with cohort(tmp_path, pacing=SIXTY) as service:
        began_s = time.monotonic()
        calls = chats(service, 8)
        await until(lambda: sum(call.done() for call in calls) == 6)
        team = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))
        teams = await service.admin.ListTeams(ListTeamsRequest(), metadata=service.key("admin"))
        during = await scraped(service)
        await asyncio.gather(*calls)
        took_s = time.monotonic() - began_s
        after = await scraped(service)

    assert team.team.waiting_calls == teams.teams[0].waiting_calls == 2
    assert 'cohort_calls_waiting{team="demo"} 2.0' in during
    assert 'cohort_calls_waiting{team="demo"} 0.0' in after
    assert took_s >= 2 * ONE_S - 0.1


async def test_whoever_is_refused_gets_its_permits_back_and_is_let_in_if_it_waits_as_told(tmp_path: Path) -> None:
    async with cohort(tmp_path, pacing=SIXTY, limits="requests_per_day = 100") as service:
        waiting = chats(service, 7)
        await until(lambda: sum(call.done() for call in waiting) == 6)
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=0.6))
        usage = await service.stub.GetUsage(GetUsageRequest(), metadata=service.key("narrow"))
        assert refusal.retry_s is not None
        await asyncio.sleep(refusal.retry_s)
        began_s = time.monotonic()
        await service.stub.Chat(chat(), metadata=service.credentials, timeout=0.6)
        waited_s = time.monotonic() - began_s
        await asyncio.gather(*waiting)
        line = next(line for line in service.lines() if line["call_id"] == refusal.call_id)
        counted = await scraped(service)

    assert refusal.reason == line["reason"] == "UPSTREAM_BUSY"
    assert [limit.remaining for limit in usage.terms.rate_limits] == [93]
    assert waited_s < 0.5
    assert 'code="RESOURCE_EXHAUSTED",reason="UPSTREAM_BUSY"' in counted


async def test_a_caller_who_leaves_while_waiting_takes_no_turn(tmp_path: Path) -> None:
    async with cohort(tmp_path, pacing=SIXTY) as service:
        calls = chats(service, 8)
        await until(lambda: sum(call.done() for call in calls) == 6)
        began_s = time.monotonic()
        for call in calls:
            call.cancel()
        await service.stub.Chat(chat(), metadata=service.credentials, timeout=30)
        took_s = time.monotonic() - began_s
        sent = len(service.sent())

    assert took_s < 1.8 * ONE_S
    assert sent == 7


async def test_a_reload_lets_those_go_who_wait(tmp_path: Path) -> None:
    async with cohort(tmp_path, pacing=paced("chat_requests_per_minute = 2")) as service:
        calls = chats(service, 3, timeout_s=400)
        await until(lambda: any(call.done() for call in calls))
        service.config_file.write_text(service.config_file.read_text().replace('"production"', '"off"'))
        assert service.service.reloader.reload()
        await asyncio.wait_for(asyncio.gather(*calls), 10)


@pytest.mark.parametrize("kind", ["production", "trial"])
async def test_a_team_says_itself_what_kind_its_key_is(tmp_path: Path, kind: str) -> None:
    async with cohort(tmp_path, team=f'cohere_key_kind = "{kind}"') as service:
        calls = chats(service, 25, timeout_s=3.0)
        await asyncio.wait(calls)
        answered = sum(call.exception() is None for call in calls)

    assert answered == 25 if kind == "production" else answered in {2, 3}


async def test_of_many_calls_few_cause_a_trip_to_the_database_and_none_waits_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[str] = []
    take, run = Paces.take, Books.run

    async def counted_take(paces: Paces, scope: str, asked: Asked) -> Taken:
        trips.append("pacing")
        return await take(paces, scope, asked)

    async def counted_run(books: Books, script: Any) -> Any:
        trips.append("limits")
        return await run(books, script)

    monkeypatch.setattr(Paces, "take", counted_take)
    monkeypatch.setattr(Books, "run", counted_run)
    allowances = "chat_requests_per_minute = 20_000\nembed_inputs_per_minute = 50_000"
    limits = "requests_per_minute = 100_000\nrequests_per_day = 1_000_000\nembed_inputs_per_minute = 100_000"
    async with cohort(tmp_path, pacing=paced(allowances), limits=limits) as service:
        await call_on(service, 10)
        trips.clear()
        waits = await waits_of(service)
        await call_on(service, 200)
        waited = await waits_of(service) - waits

    print(f"{len(trips)} trips for 400 calls, {waited:g} waited for a turn")
    assert waited == 0
    assert trips.count("pacing") <= 400 / 20
    assert trips.count("limits") <= 6  # if a minute ends meanwhile


async def call_on(service: Cohort, times: int) -> None:
    for _ in range(times):
        await service.stub.Chat(chat(), metadata=service.credentials)
        await service.stub.Embed(embed(), metadata=service.credentials)


async def waits_of(service: Cohort) -> float:
    """How many calls have waited for a turn so far."""
    name = "cohort_turn_wait_seconds_count "
    return float(next(line for line in (await scraped(service)).splitlines() if line.startswith(name)).split()[1])
