"""Limits from outside: who is let in, what every answer says of them, and what operators see."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cohort.v1.budget_pb2 import SetTeamFrozenRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.rate_limit_pb2 import RateLimit
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.limits.windows import MINUTE_US, window_at
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import chat, embed, refused, rerank, until

PRO = 'tier = "pro"'


async def trailers_of(call: Any) -> dict[str, str]:
    """The trailers of a call, however it ended."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return {str(name): str(value) for name, value in error.trailing_metadata() or ()}
    return {str(name): str(value) for name, value in await call.trailing_metadata() or ()}


async def early_in_a_minute(seconds: int = 20) -> None:
    """Waits until so much of a minute is left, that the next calls are in one."""
    now_us = time.time_ns() // 1000
    left_us = window_at(None, now_us).end_us - now_us
    if left_us < seconds * 1_000_000:
        await asyncio.sleep(left_us / 1e6 + 0.1)


def told(limits: Iterable[RateLimit]) -> dict[str, tuple[int, int]]:
    return {each.name: (each.limit, each.remaining) for each in limits}


async def test_every_answer_says_how_it_stands_with_the_tightest_limit(tmp_path: Path) -> None:
    async with cohort(tmp_path, limits="requests_per_minute = 40\nrequests_per_day = 30") as service:
        stub, credentials = service.stub, service.credentials
        stream = stub.ChatStream(chat(), metadata=credentials)
        async for _ in stream:
            pass
        answers = [
            {str(name): str(value) for name, value in await stream.trailing_metadata()},
            await trailers_of(stub.Chat(chat(), metadata=credentials)),
            await trailers_of(stub.Chat(chat(model="gpt-9"), metadata=credentials)),
            await trailers_of(stub.GetUsage(GetUsageRequest(), metadata=service.key("narrow"))),
            await trailers_of(service.admin.ListTeams(ListTeamsRequest(), metadata=service.key("admin"))),
        ]
        unknown = await trailers_of(stub.Chat(chat(), metadata=(("x-api-key", "nobody"),)))

    assert [answer["x-ratelimit-limit"] for answer in answers] == ["30"] * 5
    assert [answer["x-ratelimit-remaining"] for answer in answers] == ["29", "28", "28", "28", "28"]
    assert {int(answer["x-ratelimit-reset"]) % 86_400 for answer in answers} == {0}
    assert all(answer["x-call-id"] for answer in answers)
    assert not [name for name in unknown if name.startswith("x-ratelimit")]


async def test_a_team_without_limits_is_told_of_none(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        trailers = await trailers_of(service.stub.Chat(chat(), metadata=service.credentials))
        team = await service.admin.GetTeam(GetTeamRequest(), metadata=service.key("admin"))

    assert not [name for name in trailers if name.startswith("x-ratelimit")]
    assert not team.team.rate_limits


async def test_what_is_refused_before_anything_was_sent_is_not_counted(tmp_path: Path) -> None:
    async with cohort(tmp_path, limits="requests_per_day = 3") as service:
        freeze = SetTeamFrozenRequest(team="demo", frozen=True, note="a test")
        await service.admin.SetTeamFrozen(freeze, metadata=service.key("admin"))
        for _ in range(5):
            refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
            assert refusal.reason == "TEAM_FROZEN"
        freeze.frozen = False
        await service.admin.SetTeamFrozen(freeze, metadata=service.key("admin"))
        for call in (service.stub.Chat(chat(), metadata=service.credentials),
                     service.stub.Embed(embed(), metadata=service.credentials),
                     service.stub.Rerank(rerank(), metadata=service.credentials)):  # fmt: skip
            await call
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert refusal.reason == "RATE_LIMITED_DAY"


async def test_a_call_whose_caller_has_left_counts_as_long_as_its_attempt_runs(tmp_path: Path) -> None:
    async with cohort(tmp_path, server="in_flight_max = 1") as service:
        service.fault(latency_ms=800)
        first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
        await until(service.sandbox.state.requests.all)
        first.cancel()
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
        await until(lambda: service.lines("drained"))
        await service.stub.Chat(chat(), metadata=service.credentials)

    assert refusal.reason == "TOO_MANY_IN_FLIGHT"
    assert "server" in refusal.message


async def test_limits_are_shown_with_what_is_left_of_them(tmp_path: Path) -> None:
    limits = "embed_inputs_per_minute = 100\nin_flight_max = 7"
    async with cohort(tmp_path, team=PRO, limits=limits) as service:
        await early_in_a_minute()
        await service.stub.Embed(embed("a", "b", "c"), metadata=service.credentials)
        usage = await service.stub.GetUsage(GetUsageRequest(), metadata=service.key("narrow"))
        team = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))
        teams = await service.admin.ListTeams(ListTeamsRequest(), metadata=service.key("admin"))
        now_us = time.time_ns() // 1000

    assert told(usage.terms.rate_limits) == {
        "requests_per_minute": (600, 599),
        "requests_per_day": (50_000, 49_999),
        "embed_inputs_per_minute": (100, 97),
        "in_flight": (7, 7),
    }
    assert usage.terms.rate_limits == team.team.rate_limits == teams.teams[0].rate_limits
    minute, day, inputs, in_flight = usage.terms.rate_limits
    assert minute.reset_time == inputs.reset_time
    assert 0 < minute.reset_time.ToMicroseconds() - now_us <= MINUTE_US
    assert day.reset_time == usage.budgets[0].resets_at
    assert not in_flight.HasField("reset_time")


@pytest.mark.parametrize("before", ["requests_per_day = 2", ""])
async def test_a_reload_takes_effect_at_once(tmp_path: Path, before: str) -> None:
    async with cohort(tmp_path, limits=before) as service:
        for _ in range(2):
            await service.stub.Chat(chat(), metadata=service.credentials)
        text = service.config_file.read_text()
        after = text.replace(f"[teams.demo.limits]\n{before}", "[teams.demo.limits]\nrequests_per_day = 3")
        service.config_file.write_text(after)
        assert service.service.reloader.reload()
        answers = []
        for _ in range(3 if not before else 1):
            await service.stub.Chat(chat(), metadata=service.credentials)
            answers.append("")
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert refusal.reason == "RATE_LIMITED_DAY"
    assert refusal.info.metadata["limit"] == "3"


async def test_refusals_are_counted_by_reason_and_stand_in_the_log(tmp_path: Path) -> None:
    async with cohort(tmp_path, limits="requests_per_day = 1") as service:
        await service.stub.Chat(chat(), metadata=service.credentials)
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
        counted = await scraped(service)
        line = next(line for line in service.lines() if line["call_id"] == refusal.call_id)

    assert line["reason"] == "RATE_LIMITED_DAY"
    assert 'code="RESOURCE_EXHAUSTED",reason="RATE_LIMITED_DAY"' in counted


async def scraped(service: Cohort) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.service.metrics_port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text
