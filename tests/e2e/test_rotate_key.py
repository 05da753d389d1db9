"""RotateKey on a whole service: what it answers, whom it lets, what it leaves in the trail, and that no call fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc.aio
import orjson
import pytest

from clients.sandbox.keys import Key, KeyState
from cohort.v1 import rotate_key_pb2
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse
from cohort.v1.team_pb2 import GetTeamRequest
from service.rotation import follower
from tests.books_facts import Kept, facts_of
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import chat, refused

NEW, STRANGER = "canary-new-" + "n" * 29, "canary-str-" + "s" * 29
KEK = "0123456789abcdef" * 4
HELD = '[secrets.held.keks]\n1 = "file:kek"\n'


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cohort]:
    """One that does not look at its sources by itself: what is put there waits for somebody who asks."""
    monkeypatch.setattr(follower, "INTERVAL_S", 3600.0)
    async with cohort(tmp_path) as running:
        add_keys(running)
        yield running


@pytest.fixture
async def looking(tmp_path: Path) -> AsyncIterator[Cohort]:
    """One that does."""
    async with cohort(tmp_path) as running:
        add_keys(running)
        yield running


def add_keys(service: Cohort) -> None:
    service.sandbox.state.keys.add(
        [Key("new", NEW, "sandbox-organization"), Key("stranger", STRANGER, "another-organization")]
    )


@pytest.fixture
async def holding(tmp_path: Path) -> AsyncIterator[Cohort]:
    """A service that keeps the team's key itself."""
    (tmp_path / "kek").write_text(KEK)
    async with cohort(tmp_path, reference="held:", more=HELD) as running:
        running.sandbox.state.keys.add([Key("new", NEW, "sandbox-organization")])
        yield running


async def rotate(service: Cohort, **fields: object) -> RotateKeyResponse:
    request = RotateKeyRequest(**{"team": "demo", **fields})  # type: ignore[arg-type]
    return await service.stub.RotateKey(request, metadata=service.key("admin"), timeout=20)


def put(service: Cohort, value: str) -> None:
    (service.folder / "demo.key").write_text(value)


async def sends(service: Cohort) -> str:
    """By what Cohere knows the key of the next call."""
    await service.stub.Chat(chat(), metadata=service.credentials)
    return [each for each in service.sent() if each.path == "/v2/chat"][-1].key_name


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what another task does."""
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.02)


async def records(service: Cohort) -> list[Kept]:
    return (await facts_of(service.service.kept.database)).records


async def test_a_rotation_answers_once_the_new_version_is_in_use(service: Cohort) -> None:
    put(service, NEW)
    told = await rotate(service, overlap_seconds=3600)

    rotation = told.rotation
    assert rotation.state == rotate_key_pb2.ROTATION_STATE_CURRENT
    assert (rotation.team, rotation.current_version, rotation.previous_version) == ("demo", 2, 1)
    assert 3500 < rotation.overlap_end_time.seconds - rotation.update_time.seconds <= 3600
    assert not rotation.HasField("failure")
    assert await sends(service) == "new"


async def test_rotations_stand_in_the_trail_with_versions_and_without_values(service: Cohort) -> None:
    put(service, NEW)
    await rotate(service)
    await sends(service)
    kept = await records(service)

    notices = [each.body for each in kept if each.kind == "notice" and each.body["event"].startswith("cohere_key_")]
    events = [each["event"].removeprefix("cohere_key_") for each in notices]
    assert [each for each in events if each != "organization_known"] == ["adopted", "staged", "verified", "current"]
    assert notices[-1]["key_version"] == 2
    assert notices[-1]["principal"] == "demo/admin"
    intents = [each.body["cohere_key_version"] for each in kept if each.kind == "intent"]
    assert intents == [2]
    assert not [each for each in kept if NEW in each.raw or "sandbox-production" in each.raw]


async def test_a_key_of_another_organization_is_told_and_not_used(service: Cohort) -> None:
    put(service, STRANGER)
    told = await rotate(service)

    assert told.rotation.state == rotate_key_pb2.ROTATION_STATE_FAILED
    assert told.rotation.failure.cause == rotate_key_pb2.ROTATION_FAILURE_CAUSE_OTHER_ORGANIZATION
    assert "another-organization" in told.rotation.failure.message
    assert told.rotation.failure.advice
    assert told.rotation.current_version == 1
    assert await sends(service) == "sandbox-production"


async def test_a_trial_run_answers_and_begins_nothing(service: Cohort) -> None:
    put(service, NEW)
    told = await rotate(service, validate_only=True)

    assert told.rotation.state == rotate_key_pb2.ROTATION_STATE_VERIFIED
    assert told.rotation.id == ""


async def test_a_probe_is_a_call_that_the_budget_pays_for(service: Cohort) -> None:
    put(service, NEW)
    told = await rotate(service, probe=True)

    assert told.rotation.state == rotate_key_pb2.ROTATION_STATE_CURRENT
    (intent,) = [each for each in await records(service) if each.kind == "intent"]
    (outcome,) = [each for each in await records(service) if each.kind == "outcome"]
    assert (intent.team, intent.body["method"], intent.body["cohere_key_version"]) == ("demo", "rotation", 2)
    assert outcome.body["charge_nanos"] > 0
    assert [each.key_name for each in service.sent() if each.path.startswith("/v2/")] == ["new"]


async def test_a_probe_that_fails_keeps_the_old_version_in_use(service: Cohort) -> None:
    service.sandbox.state.keys.add([Key("new", NEW, "sandbox-organization", KeyState.NO_BILLING)])
    put(service, NEW)
    told = await rotate(service, probe=True)

    assert told.rotation.failure.cause == rotate_key_pb2.ROTATION_FAILURE_CAUSE_BILLING
    assert await sends(service) == "sandbox-production"


async def test_a_key_that_dies_once_in_use_is_rolled_back_and_no_caller_notices(service: Cohort) -> None:
    put(service, NEW)
    await rotate(service)
    service.sandbox.state.keys.add([Key("new", NEW, "sandbox-organization", KeyState.EXPIRED)])
    answers = [await service.stub.Chat(chat(), metadata=service.credentials) for _ in range(5)]
    assert len(answers) == 5

    async def rolled_back() -> bool:
        team = (await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))).team
        return team.cohere_key.version == 1

    await until(rolled_back)
    told = await rotate(service)
    assert told.rotation.failure.cause == rotate_key_pb2.ROTATION_FAILURE_CAUSE_KEY_REJECTED


async def test_a_changed_file_is_rotated_to_by_itself(looking: Cohort) -> None:
    await sends(looking)
    put(looking, NEW)

    async def taken() -> bool:
        return await sends(looking) == "new"

    await until(taken)


async def test_the_old_key_is_revoked_without_notice_and_no_caller_notices(service: Cohort) -> None:
    await sends(service)
    put(service, NEW)
    service.sandbox.state.keys.add([Key("sandbox-production", "sandbox-production", "o", KeyState.EXPIRED)])

    await asyncio.gather(*(service.stub.Chat(chat(), metadata=service.credentials) for _ in range(20)))


async def test_a_key_that_cohort_holds_is_given_inline(holding: Cohort) -> None:
    first = await rotate(holding, inline_key="sandbox-production", request_id="first")
    assert (first.rotation.state, first.rotation.current_version) == (rotate_key_pb2.ROTATION_STATE_CURRENT, 1)
    assert await sends(holding) == "sandbox-production"
    second = await rotate(holding, inline_key=NEW, request_id="second")
    again = await rotate(holding, inline_key=NEW, request_id="second")
    other = await refused(
        holding.stub.RotateKey(
            RotateKeyRequest(team="demo", inline_key="another", request_id="second"), metadata=holding.key("admin")
        )
    )

    assert second.rotation.id == again.rotation.id
    assert other.reason == "REQUEST_ID_REUSED"
    assert await sends(holding) == "new"
    assert NEW.encode() not in (holding.folder / "cohort.db").read_bytes()
    assert NEW.encode() not in holding.log.getvalue()


async def test_a_key_that_cohort_does_not_hold_is_not_taken_inline(service: Cohort) -> None:
    request = RotateKeyRequest(team="demo", inline_key=NEW)
    refusal = await refused(service.stub.RotateKey(request, metadata=service.key("admin")))

    assert refusal.reason == "KEY_SOURCE_READ_ONLY"
    assert refusal.fields == {"inline_key"}
    assert dict(refusal.info.metadata) == {"team": "demo", "source": "file"}
    assert NEW not in repr(refusal)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RotateKeyRequest(overlap_seconds=-1), "overlap_seconds"),
        (RotateKeyRequest(overlap_seconds=2_592_001), "overlap_seconds"),
        (RotateKeyRequest(request_id="r" * 101), "request_id"),
        (RotateKeyRequest(inline_key=""), "inline_key"),
        (RotateKeyRequest(inline_key="k" * 4097), "inline_key"),
        (RotateKeyRequest(reload=False), "reload"),
    ],
)
async def test_a_request_out_of_bounds_is_refused(service: Cohort, request_: RotateKeyRequest, field: str) -> None:
    refusal = await refused(service.stub.RotateKey(request_, metadata=service.key("admin")))

    assert refusal.reason == "REQUEST_INVALID"
    assert refusal.fields == {field}
    assert "kkkk" not in repr(refusal)


async def test_another_team_needs_an_operator(service: Cohort) -> None:
    refusal = await refused(
        service.stub.RotateKey(RotateKeyRequest(team="other"), metadata=service.key("rotator"), timeout=10)
    )
    assert refusal.reason == "SCOPE_MISSING"

    unknown = await refused(service.stub.RotateKey(RotateKeyRequest(team="other"), metadata=service.key("admin")))
    assert unknown.reason == "TEAM_UNKNOWN"


async def test_one_rotates_ones_own_teams_key(service: Cohort) -> None:
    put(service, NEW)
    told = await service.stub.RotateKey(RotateKeyRequest(), metadata=service.key("rotator"), timeout=20)

    assert told.rotation.team == "demo"
    assert await sends(service) == "new"


async def test_a_deadline_that_is_too_short_leaves_the_rotation_going_on(service: Cohort) -> None:
    service.fault(path="/v1/check-api-key", latency_ms=1000)
    put(service, NEW)
    request = RotateKeyRequest(request_id="late")
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await service.stub.RotateKey(request, metadata=service.key("admin"), timeout=0.5)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    async def done() -> bool:
        again = await service.stub.RotateKey(request, metadata=service.key("admin"), timeout=20)
        return again.rotation.state == rotate_key_pb2.ROTATION_STATE_CURRENT

    await until(done)


async def test_the_health_of_the_key_names_versions(service: Cohort) -> None:
    put(service, NEW)
    await rotate(service)
    team = (await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))).team

    assert (team.cohere_key.version, team.cohere_key.previous_version) == (2, 1)
    assert team.cohere_key.source == "file"


async def test_no_key_is_in_the_log(service: Cohort) -> None:
    for value in (NEW, STRANGER, "sk-misplaced-secret-of-another-vendor"):
        put(service, value)
        await rotate(service)
    log = service.log.getvalue()

    assert not [each for each in (NEW, STRANGER, "sk-misplaced") if each.encode() in log]
    assert all(orjson.loads(line) for line in log.splitlines())
