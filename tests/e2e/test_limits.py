"""Limits from outside: who is let in, what every answer says of them, and what operators see."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest, RotateAccessKeyRequest
from cohort.v1.budget_pb2 import SetTeamFrozenRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from cohort.v1.rate_limit_pb2 import RateLimit
from cohort.v1.team_pb2 import GetTeamRequest, ListTeamsRequest
from service.limits.windows import MINUTE_US, window_at
from tests.e2e import limit_reasons  # noqa: F401 (fills the table of reasons)
from tests.e2e.book_reasons import quota_subjects
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.reason_cases import CASES
from tests.e2e.requests import chat, embed, refusal_of, refused, rerank, until

PRO = 'tier = "pro"'
LIMIT_REASONS = ("RATE_LIMITED_MINUTE", "RATE_LIMITED_DAY", "TOO_MANY_IN_FLIGHT", "REQUEST_EXCEEDS_RATE")


async def trailers_of(call: Any) -> dict[str, str]:
    """The trailers of a call, however it ended."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return {str(name): str(value) for name, value in error.trailing_metadata() or ()}
    return {str(name): str(value) for name, value in await call.trailing_metadata() or ()}


async def early_in_a_minute(seconds: int = 8) -> None:
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


async def test_a_call_that_did_not_come_as_far_as_cohere_is_not_counted(tmp_path: Path) -> None:
    pool = "connections_max = 1\npool_wait_seconds = 0.05"
    async with cohort(tmp_path, limits="requests_per_day = 3", cohere=pool) as service:
        service.fault(latency_ms=1500)
        first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
        await until(service.sent)
        refusals = [await refused(service.stub.Chat(chat(), metadata=service.credentials)) for _ in range(5)]
        await first
        for _ in range(2):
            await service.stub.Chat(chat(), metadata=service.credentials)
        last = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert {refusal.reason for refusal in refusals} == {"UPSTREAM_POOL_FULL"}
    assert last.reason == "RATE_LIMITED_DAY"


async def test_a_call_whose_caller_has_left_counts_as_long_as_its_attempt_runs(tmp_path: Path) -> None:
    async with cohort(tmp_path, server="in_flight_max = 1") as service:
        service.fault(latency_ms=800)
        first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
        await until(service.sent)
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


@pytest.mark.parametrize("reason", LIMIT_REASONS)
async def test_each_refusal_is_counted_by_its_reason_and_stands_in_the_log(tmp_path: Path, reason: str) -> None:
    reached = CASES[reason]
    async with cohort(tmp_path, **reached.terms) as service:
        refusal = await reached.case(service)
        counted = await scraped(service)
        line = next(line for line in service.lines() if line["call_id"] == refusal.call_id)
    rpc = "Embed" if reason == "REQUEST_EXCEEDS_RATE" else "Chat"
    labels = f'code="{refusal.code.name}",reason="{reason}",rpc="/cohort.v1.GatewayService/{rpc}",team="demo"'

    assert line["reason"] == reason
    assert f"cohort_calls_total{{{labels}}} 1.0" in counted


async def narrow_key(service: Cohort, **limits: Any) -> tuple[str, Any]:
    """The id of a new access key with limits of its own, and what presents it."""
    request = CreateAccessKeyRequest(team="demo", name="batch", scopes=["chat", "usage:read"], **limits)
    request.expire_time.FromSeconds(int(time.time()) + 3600)
    made = await service.admin.CreateAccessKey(request, metadata=service.key("admin"))
    return made.access_key.id, (("x-api-key", made.secret),)


async def test_an_access_keys_own_limit_is_in_its_refusals_its_trailers_and_its_terms(tmp_path: Path) -> None:
    async with cohort(tmp_path, team=PRO) as service:
        key_id, narrow = await narrow_key(service, requests_per_day=2)
        trailers = [await trailers_of(service.stub.Chat(chat(), metadata=narrow)) for _ in range(2)]
        refusal = await refused(service.stub.Chat(chat(), metadata=narrow))
        usage = await service.stub.GetUsage(GetUsageRequest(), metadata=narrow)
        team = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))
        await service.stub.Chat(chat(), metadata=service.credentials)

    holders = [each.holder for each in usage.terms.rate_limits]
    own = usage.terms.rate_limits[-1]
    assert [(each["x-ratelimit-limit"], each["x-ratelimit-remaining"]) for each in trailers] == [("2", "1"), ("2", "0")]
    assert (refusal.reason, quota_subjects(refusal)) == ("RATE_LIMITED_DAY", [f"access_key:{key_id}"])
    assert f"access_key:{key_id}" in refusal.message
    assert refusal.retry_s is not None
    assert holders == ["team:demo", "team:demo", f"access_key:{key_id}"]
    assert (own.name, own.limit, own.remaining) == ("requests_per_day", 2, 0)
    assert [each.holder for each in team.team.rate_limits] == ["team:demo", "team:demo"]


async def test_a_rotation_does_not_begin_an_access_keys_window_anew(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        key_id, narrow = await narrow_key(service, requests_per_day=2)
        await service.stub.Chat(chat(), metadata=narrow)
        rotated = await service.admin.RotateAccessKey(RotateAccessKeyRequest(id=key_id), metadata=service.key("admin"))
        await service.stub.Chat(chat(), metadata=(("x-api-key", rotated.secret),))
        answers = [
            await refused(service.stub.Chat(chat(), metadata=who)) for who in (narrow, (("x-api-key", rotated.secret),))
        ]

    assert [answer.reason for answer in answers] == ["RATE_LIMITED_DAY"] * 2


@pytest.mark.prove
@pytest.mark.timeout(300)
async def test_a_thousand_callers_who_wait_as_they_are_told_are_refused_once_and_then_let_in(tmp_path: Path) -> None:
    refusals: Counter[int] = Counter()

    async def call(service: Cohort, number: int) -> None:
        while True:
            try:
                await service.stub.Rerank(rerank(), metadata=service.credentials, timeout=60)
            except grpc.aio.AioRpcError as error:
                refusal = refusal_of(error)
                assert refusal.reason == "RATE_LIMITED_MINUTE"
                assert refusal.retry_s is not None
                refusals[number] += 1
                await asyncio.sleep(refusal.retry_s)
            else:
                return

    async with cohort(tmp_path, limits="requests_per_minute = 600", budget_usd="1000") as service:
        await early_in_a_minute(40)
        await asyncio.gather(*(call(service, number) for number in range(1_000)))
    print(f"1,000 callers of 600 a minute: {len(refusals)} refused, {max(refusals.values())} times at most")

    assert len(refusals) >= 400
    assert max(refusals.values()) == 1


async def scraped(service: Cohort) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.service.metrics_port)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text
