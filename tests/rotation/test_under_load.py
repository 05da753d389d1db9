"""Keys rotated while callers call: none of them notices, on one replica or three, though who began is killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from clients.sandbox.keys import Key
from cohort.v1 import rotate_key_pb2
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse
from tests.books_lines import books_lines
from tests.e2e.cohort_service import Cohort, cohort
from tests.rotation.steady import steady
from tests.torture.fleet import Fleet, Replica

OLD, NEW = "canary-" + "old" * 11, "canary-" + "new" * 11
LEASE_AND_A_LOOK_S = 20.0


def at_cohere(*values: str) -> list[Key]:
    return [Key(value[7:10], value, "our-organization") for value in values]


def accept(service: Cohort, *values: str) -> None:
    service.sandbox.state.keys.replace(at_cohere(*values))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path, cohere_key=OLD, taken=at_cohere(OLD), budget_usd="1000000") as running:
        yield running


async def rotated_under_load(service: Cohort, per_second: float, phase_s: float) -> None:
    async with steady([service.channel], service.access_key, per_second) as load:
        await asyncio.sleep(phase_s)
        accept(service, OLD, NEW)
        await asyncio.sleep(phase_s)
        (service.folder / "demo.key").write_text(NEW)
        told = await rotate(service.channel, service.access_keys["admin"])
        assert told.rotation.state == rotate_key_pb2.ROTATION_STATE_CURRENT
        await asyncio.sleep(phase_s)
        accept(service, NEW)
        await asyncio.sleep(phase_s)
    used = {each.key_name for each in service.sandbox.state.requests.all() if each.path == "/v2/chat"}
    print(f"\n{sum(load.ended.values())} calls at {per_second:g}/s: {dict(load.ended)}, {load.late} later than 1 s")

    assert load.failed == {}
    assert used >= {"new"}
    assert load.ended["OK"] > per_second * phase_s * 3


async def rotate(channel: grpc.aio.Channel, access_key: str, request_id: str = "") -> RotateKeyResponse:
    request = RotateKeyRequest(team="", reload=True, request_id=request_id)
    return await GatewayServiceStub(channel).RotateKey(request, metadata=(("x-api-key", access_key),), timeout=30)


async def test_no_caller_notices_a_rotation(service: Cohort) -> None:
    await rotated_under_load(service, per_second=40, phase_s=0.6)


@pytest.mark.prove
async def test_no_caller_of_200_a_second_notices_a_rotation(service: Cohort) -> None:
    await rotated_under_load(service, per_second=200, phase_s=4)


async def test_no_caller_notices_that_the_old_key_was_revoked_unannounced(service: Cohort) -> None:
    async with steady([service.channel], service.access_key, 40) as load:
        await asyncio.sleep(0.5)
        (service.folder / "demo.key").write_text(NEW)
        accept(service, NEW)
        await asyncio.sleep(1.5)
    refused = [each for each in service.sandbox.state.requests.all() if each.path == "/v2/chat" and not each.key_name]
    print(f"\n{dict(load.ended)}, {len(refused)} refused attempts")

    assert load.failed == {}


@pytest.mark.slow
async def test_no_caller_notices_that_the_old_key_was_revoked_though_the_check_of_the_new_one_is_slow(
    service: Cohort,
) -> None:
    service.fault(path="/v1/check-api-key", latency_ms=1200, times=None)
    async with steady([service.channel], service.access_key, 20) as load:
        await asyncio.sleep(0.3)
        (service.folder / "demo.key").write_text(NEW)
        accept(service, NEW)
        await asyncio.sleep(3)

    assert load.failed == {}


async def test_no_caller_notices_a_key_that_dies_once_in_use(service: Cohort) -> None:
    accept(service, OLD, NEW)
    async with steady([service.channel], service.access_key, 40) as load:
        await asyncio.sleep(0.3)
        (service.folder / "demo.key").write_text(NEW)
        await rotate(service.channel, service.access_keys["admin"])
        accept(service, OLD)
        await asyncio.sleep(1.5)

    assert load.failed == {}
    rolled = [each for each in service.lines("alert") if each["alert"] == "cohere_key_rotation"]
    assert len(rolled) == 1


class Callers:
    """Channels to the replicas, and Cohere's keys."""

    def __init__(self, fleet: Fleet, http: aiohttp.ClientSession) -> None:
        self._fleet = fleet
        self._http = http
        self.channels = [grpc.aio.insecure_channel(replica.address) for replica in fleet.replicas]

    async def accept(self, *values: str) -> None:
        keys = [{"key": value, "name": value[7:10], "organization_id": "our-organization"} for value in values]
        url = f"{self._fleet.sandbox_url}/sandbox/keys"
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                (await self._http.put(url, json={"keys": keys})).raise_for_status()
                return
            await asyncio.sleep(0.05)

    async def slow_checks(self, times: int, latency_ms: int) -> None:
        fault = {"path": "/v1/check-api-key", "latency_ms": latency_ms, "times": times}
        (
            await self._http.post(f"{self._fleet.sandbox_url}/sandbox/faults", json={"faults": [fault]})
        ).raise_for_status()

    def put(self, value: str, *numbers: int) -> None:
        for number in numbers:
            (self._fleet.replicas[number].folder / "search.key").write_text(value)


@contextlib.asynccontextmanager
async def fleet_of(folder: Path, url: str) -> AsyncIterator[tuple[Fleet, Callers]]:
    books_lines(folder, database=url)
    fleet = Fleet(folder, url, 3, {"search": "1000000"})
    try:
        fleet.sandbox.start()
        async with aiohttp.ClientSession() as http:
            callers = Callers(fleet, http)
            callers.put(OLD, 0, 1, 2)
            await callers.accept(OLD)
            for replica in fleet.replicas:
                await replica.started()
            yield fleet, callers
            for channel in callers.channels:
                await channel.close()
    finally:
        fleet.close()


async def using(replica: Replica, version: int, within_s: float) -> None:
    """Waits until a replica's calls use a version."""
    async with asyncio.timeout(within_s):
        while {"event": "cohere key in use", "key_version": version} not in (
            {"event": line.get("event"), "key_version": line.get("key_version")} for line in replica.lines()
        ):
            await asyncio.sleep(0.05)


@pytest.mark.prove
@pytest.mark.timeout(180)
async def test_no_caller_of_three_replicas_notices_though_who_began_is_killed(
    tmp_path: Path, postgres_url: str
) -> None:
    async with fleet_of(tmp_path, postgres_url) as (fleet, callers):
        access_key, channels = fleet.teams[0].access_key, callers.channels
        async with steady(channels[1:], access_key, 200) as load:
            async with steady(channels[:1], access_key, 20) as first:
                await asyncio.sleep(2)
                await callers.accept(OLD, NEW)
            await callers.slow_checks(times=1, latency_ms=4000)
            callers.put(NEW, 0)
            asking = asyncio.create_task(rotate(channels[0], access_key, "the-rotation"))
            await asyncio.sleep(1.5)
            fleet.replicas[0].kill()
            with pytest.raises(grpc.aio.AioRpcError):
                await asking
            callers.put(NEW, 1, 2)
            for number in (1, 2):
                await using(fleet.replicas[number], 2, LEASE_AND_A_LOOK_S)
            ended = await rotate(channels[1], access_key, "the-rotation")
            await callers.accept(NEW)
            await fleet.replicas[0].started()
            async with steady(channels[:1], access_key, 20) as again:
                await asyncio.sleep(3)
        print(f"\n{dict(load.ended)}, {load.late} later than 1 s; the killed one {dict(first.ended + again.ended)}")

        assert load.failed == first.failed == again.failed == {}
        assert ended.rotation.state == rotate_key_pb2.ROTATION_STATE_CURRENT
        assert (ended.rotation.current_version, ended.rotation.previous_version) == (2, 1)


@pytest.mark.prove
@pytest.mark.timeout(120)
async def test_what_one_of_three_processes_rotates_the_others_use_within_two_seconds(
    tmp_path: Path, postgres_url: str
) -> None:
    async with fleet_of(tmp_path, postgres_url) as (fleet, callers):
        access_key, channels = fleet.teams[0].access_key, callers.channels
        async with steady(channels, access_key, 200) as load:
            await asyncio.sleep(1)
            await callers.accept(OLD, NEW)
            callers.put(NEW, 0, 1, 2)
            await rotate(channels[0], access_key)
            async with asyncio.timeout(2.0):
                for replica in fleet.replicas:
                    await using(replica, 2, 2.0)
            await callers.accept(NEW)
            await asyncio.sleep(3)
        print(f"\n{dict(load.ended)}, {load.late} later than 1 s")

        assert load.failed == {}
