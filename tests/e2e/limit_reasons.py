"""How the reasons of limits are reached, with the details that tell of them. Importing it fills the table."""

import asyncio
import time
from datetime import datetime

import grpc
import grpc.aio

from tests.e2e.book_reasons import quota_subjects
from tests.e2e.cohort_service import Cohort, paced
from tests.e2e.reason_cases import reaches
from tests.e2e.requests import Refusal, chat, embed, refusal_of, refused, until

C = grpc.StatusCode


async def used_up(service: Cohort) -> Refusal:
    """The refusal of the call after the last one."""
    while True:
        try:
            await service.stub.Chat(chat(), metadata=service.credentials)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)


def require_wait(refusal: Refusal) -> None:
    """The wait is at least until the window resets; a later one was promised to nobody else."""
    resets_at_s = datetime.fromisoformat(refusal.info.metadata["resets_at"]).timestamp()

    assert refusal.retry_s is not None
    assert resets_at_s - 5 < time.time() + refusal.retry_s < resets_at_s + 5
    assert quota_subjects(refusal) == ["team:demo"]


@reaches("RATE_LIMITED_MINUTE", C.RESOURCE_EXHAUSTED, limits="requests_per_minute = 2")
async def _minute(service: Cohort) -> Refusal:
    refusal = await used_up(service)

    assert refusal.info.metadata["limit_name"] == "requests_per_minute"
    assert refusal.info.metadata["limit"] == "2"
    require_wait(refusal)
    return refusal


@reaches("RATE_LIMITED_DAY", C.RESOURCE_EXHAUSTED, limits="requests_per_day = 2")
async def _day(service: Cohort) -> Refusal:
    refusal = await used_up(service)

    assert refusal.info.metadata["limit_name"] == "requests_per_day"
    assert refusal.info.metadata["limit"] == "2"
    require_wait(refusal)
    return refusal


@reaches("TOO_MANY_IN_FLIGHT", C.RESOURCE_EXHAUSTED, limits="in_flight_max = 1")
async def _in_flight(service: Cohort) -> Refusal:
    service.fault(latency_ms=1500)
    first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
    await until(service.sent)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    first.cancel()

    assert dict(refusal.info.metadata) == {"limit_name": "in_flight", "limit": "1"}
    assert quota_subjects(refusal) == ["team:demo"]
    assert refusal.retry_s == 1
    return refusal


@reaches("REQUEST_EXCEEDS_RATE", C.FAILED_PRECONDITION, limits="embed_inputs_per_minute = 2")
async def _exceeds(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Embed(embed("a", "b", "c"), metadata=service.credentials))

    assert dict(refusal.info.metadata) == {"limit_name": "embed_inputs_per_minute", "limit": "2", "asked": "3"}
    assert refusal.retry_s is None
    assert not service.sent()
    return refusal


@reaches("UPSTREAM_BUSY", C.RESOURCE_EXHAUSTED, pacing=paced("chat_requests_per_minute = 2"))
async def _upstream_busy(service: Cohort) -> Refusal:
    await service.stub.Chat(chat(), metadata=service.credentials)
    began_s = time.monotonic()
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=20))
    metadata = dict(refusal.info.metadata)
    wait_ms = int(metadata.pop("wait_ms"))

    assert time.monotonic() - began_s < 10
    assert metadata == {"limit_name": "chat command-a-03-2025", "limit": "2"}
    assert 20_000 < wait_ms < 126_000
    assert refusal.retry_s is not None
    assert round(refusal.retry_s * 1000) == wait_ms
    assert quota_subjects(refusal) == ["cohere"]
    assert len(service.sent()) == 1
    return refusal
