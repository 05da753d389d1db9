"""Cohere refuses a team's key while it serves, and at its start: who notices, how soon, and what heals it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clients.sandbox import Sandbox
from clients.sandbox.keys import Key
from cohort.v1 import team_pb2
from cohort.v1.team_pb2 import CohereKeyHealth, GetTeamRequest
from service.config import ConfigError
from service.money import nanos_of
from tests.e2e.cohort_service import Cohort, cohort, team_lines
from tests.e2e.requests import Refusal, chat, embed, refused, rerank
from tests.key_tables import access_key_lines

CLEAR_ERROR_S = 1.0
HEALED_S = 5.0
OLD, NEW = "old0" * 10, "new1" * 10


def at_cohere(*values: str) -> list[Key]:
    return [Key(f"key {value[:4]}", value, "sandbox-organization") for value in values]


def keys_at_cohere(service: Cohort, *values: str) -> None:
    """These alone are good from now on, beside those that every sandbox has."""
    service.sandbox.state.keys.replace(at_cohere(*values))


def put(service: Cohort, value: str) -> None:
    (service.folder / "demo.key").write_text(value)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    """Its team has one version, `OLD`, which Cohere takes."""
    async with cohort(tmp_path, cohere_key=OLD, taken=at_cohere(OLD)) as running:
        await healed_after_s(running)
        running.sandbox.state.requests.clear()
        running.log.seek(0)
        running.log.truncate()
        yield running


async def key_of(service: Cohort) -> CohereKeyHealth:
    answer = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))
    return answer.team.cohere_key


async def timed_refusal(service: Cohort, request: Any = None) -> tuple[Refusal, float]:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    method = {"EmbedRequest": "Embed", "RerankRequest": "Rerank"}.get(type(request).__name__, "Chat")
    refusal = await refused(getattr(service.stub, method)(request or chat(), metadata=service.credentials))
    return refusal, loop.time() - began_s


async def healed_after_s(service: Cohort) -> float:
    """How long it takes until a call passes."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        try:
            await service.stub.Chat(chat(), metadata=service.credentials)
        except grpc.aio.AioRpcError:
            assert loop.time() - began_s < HEALED_S
            await asyncio.sleep(0.05)
        else:
            return loop.time() - began_s


async def test_nobody_notices_a_key_revoked_without_notice_if_the_source_has_the_new_one(service: Cohort) -> None:
    ended, revoked = 0, asyncio.Event()

    async def caller() -> None:
        nonlocal ended
        for turn in range(8):
            if turn == 3:
                await revoked.wait()
            await service.stub.Chat(chat(), metadata=service.credentials)
            async for _ in service.stub.ChatStream(chat(), metadata=service.credentials):
                pass
            ended += 2

    async with asyncio.TaskGroup() as callers:
        for _ in range(20):
            callers.create_task(caller())
        while ended < 120:
            await asyncio.sleep(0.01)
        put(service, NEW)
        keys_at_cohere(service, NEW)
        revoked.set()

    assert ended == 320
    assert (await key_of(service)).version == 2


async def test_a_key_revoked_without_another_is_a_clear_error_at_once_and_nothing_is_sent_or_held(
    service: Cohort,
) -> None:
    keys_at_cohere(service)
    first, first_s = await timed_refusal(service)
    service.sandbox.state.requests.clear()
    later = [await timed_refusal(service, request) for request in (None, embed(), rerank(), None)]
    answer = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))

    assert {refusal.reason for refusal, _ in [(first, first_s), *later]} == {"COHERE_KEY_REJECTED"}
    assert max(first_s, *(seconds for _, seconds in later)) < CLEAR_ERROR_S
    assert all("renew the key" in refusal.message for refusal, _ in later)
    assert service.sent() == []
    assert nanos_of(answer.team.budget.held) == 0
    assert (await key_of(service)).state == team_pb2.COHERE_KEY_STATE_REJECTED
    assert len(service.lines("alert")) == 1


async def test_it_heals_by_itself_when_the_source_has_a_good_key(service: Cohort) -> None:
    keys_at_cohere(service, NEW)
    await timed_refusal(service)
    put(service, NEW)

    assert await healed_after_s(service) < HEALED_S


async def test_it_heals_by_itself_when_cohere_takes_the_key_again(service: Cohort) -> None:
    keys_at_cohere(service)
    await timed_refusal(service)
    keys_at_cohere(service, OLD)

    assert await healed_after_s(service) < HEALED_S
    assert (await key_of(service)).state == team_pb2.COHERE_KEY_STATE_AVAILABLE


async def test_it_heals_by_itself_when_cohere_takes_the_new_key_that_it_refused_at_first(service: Cohort) -> None:
    keys_at_cohere(service)
    put(service, NEW)
    await timed_refusal(service)
    assert (await timed_refusal(service))[0].reason == "COHERE_KEY_REJECTED"
    keys_at_cohere(service, NEW)

    assert await healed_after_s(service) < HEALED_S


async def test_a_source_that_hangs_makes_no_call_hang(service: Cohort) -> None:
    service.service.reloader.snapshot.clients["demo"].keys.renew = asyncio.Event().wait
    keys_at_cohere(service)
    refusals = await asyncio.gather(*(timed_refusal(service) for _ in range(30)))

    assert {refusal.reason for refusal, _ in refusals} == {"COHERE_KEY_REJECTED"}
    assert max(seconds for _, seconds in refusals) < CLEAR_ERROR_S + 0.5  # thirty at once, on a busy machine
    refusal, seconds = await timed_refusal(service)
    assert (refusal.reason, seconds < CLEAR_ERROR_S) == ("COHERE_KEY_REJECTED", True)


async def test_an_endpoint_that_is_forbidden_stops_alone(service: Cohort) -> None:
    service.fault(status=403, path="/v2/embed", times=None)
    refusals = [await timed_refusal(service, embed()) for _ in range(3)]

    assert {refusal.reason for refusal, _ in refusals} == {"COHERE_KEY_FORBIDDEN"}
    assert len(service.sent()) == 1
    await service.stub.Chat(chat(), metadata=service.credentials)
    health = await key_of(service)
    assert ([*health.forbidden_endpoints], health.state) == (["embed"], team_pb2.COHERE_KEY_STATE_AVAILABLE)


async def test_an_unpaid_account_stops_its_team_with_the_reason(service: Cohort) -> None:
    service.fault(status=402)
    refusals = [await timed_refusal(service, request) for request in (None, embed(), rerank())]

    assert {refusal.reason for refusal, _ in refusals} == {"COHERE_BILLING"}
    assert len(service.sent()) == 1
    assert (await key_of(service)).state == team_pb2.COHERE_KEY_STATE_UNPAID


async def test_other_teams_and_health_do_not_notice(tmp_path: Path) -> None:
    access_key, key_lines = access_key_lines("other", "tests", ["chat"])
    (tmp_path / "other.key").write_text("sandbox-trial")
    team = team_lines("other", "http://unused").replace('base_url = "http://unused"\n', "")
    async with (
        Sandbox().serve() as url,
        cohort(tmp_path, cohere=f'base_url = "{url}"', more=team + key_lines) as service,
    ):
        keys_at_cohere(service)
        service.fault(status=401, key="sandbox-production", times=None)
        await timed_refusal(service)
        await service.stub.Chat(chat(), metadata=(("x-api-key", access_key),))
        stub: Any = health_pb2_grpc.HealthStub(service.channel)
        health = await stub.Check(health_pb2.HealthCheckRequest())

    assert health.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(("key", "reason"), [(None, "COHERE_KEY_MISSING"), (NEW, "COHERE_KEY_REJECTED")])
async def test_a_start_goes_on_without_a_team_whose_key_is_not_good(
    tmp_path: Path, key: str | None, reason: str
) -> None:
    async with cohort(tmp_path, cohere_key=key) as service:
        refusal, seconds = await timed_refusal(service)

        assert (refusal.reason, seconds < CLEAR_ERROR_S) == (reason, True)
        assert service.sent() == []
        (line,) = service.lines("cohere key not good")
        assert line["advice"]
        put(service, "sandbox-production")
        assert await healed_after_s(service) < HEALED_S


async def test_a_start_is_refused_if_the_config_says_so_and_names_every_team(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        async with cohort(tmp_path, cohere='on_refused_key = "refuse"', cohere_key=NEW, more=_MISSING):
            raise AssertionError("it must not serve")

    assert [problem.partition(": ")[0] for problem in raised.value.problems] == [
        "teams.demo.cohere_key",
        "teams.lost.cohere_key",
    ]
    assert NEW not in str(raised.value.problems)


async def test_cohere_that_is_away_refuses_no_start(tmp_path: Path) -> None:
    async with cohort(tmp_path, cohere='on_refused_key = "refuse"', base_url="http://127.0.0.1:1") as service:
        assert service.lines("serving")
        (line,) = service.lines("cohere key not checked")

    assert line["cause"] == "not_asked"


_MISSING = team_lines("lost", "http://127.0.0.1:1")
