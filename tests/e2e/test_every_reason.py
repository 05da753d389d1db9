"""Every ErrorReason, reached through a real channel, its details decoded; the table is held to be complete."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

import tests.e2e.book_reasons  # noqa: F401 - fills the table
from cohort.v1.error_reason_pb2 import ErrorReason
from tests.e2e.cohort_service import CAP, Cohort, cohort
from tests.e2e.reason_cases import CASES, Reached, reaches
from tests.e2e.requests import Refusal, chat, embed, refused, rerank, until

# Wide gaps between our refusal and the caller's own deadline, so that a slow machine sees ours.
MARGINS_MS = {"DEADLINE_TOO_SHORT": 950, "DEADLINE_EXCEEDED": 1000}
C = grpc.StatusCode


def upstream(reason: str, code: grpc.StatusCode, **fault: object) -> None:
    async def case(service: Cohort) -> Refusal:
        service.fault(**fault, times=5)
        return await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=10))

    CASES[reason] = Reached(code, case)


@reaches("CREDENTIAL_MISSING", C.UNAUTHENTICATED)
async def _no_credential(service: Cohort) -> Refusal:
    return await refused(service.stub.Chat(chat()))


@reaches("CREDENTIAL_AMBIGUOUS", C.UNAUTHENTICATED)
async def _two_credentials(service: Cohort) -> Refusal:
    twice = (*service.credentials, ("authorization", f"Bearer {service.access_key}"))
    return await refused(service.stub.Chat(chat(), metadata=twice))


@reaches("CREDENTIAL_REJECTED", C.UNAUTHENTICATED)
async def _expired(service: Cohort) -> Refusal:
    return await refused(service.stub.Chat(chat(), metadata=(("x-api-key", service.access_keys["expired"]),)))


@reaches("SCOPE_MISSING", C.PERMISSION_DENIED)
async def _narrow(service: Cohort) -> Refusal:
    return await refused(service.stub.Embed(embed(), metadata=(("x-api-key", service.access_keys["narrow"]),)))


@reaches("ENDPOINT_NOT_ALLOWED", C.PERMISSION_DENIED)
async def _endpoint(service: Cohort) -> Refusal:
    return await refused(service.stub.Rerank(rerank(), metadata=service.credentials))


@reaches("MODEL_NOT_ALLOWED", C.PERMISSION_DENIED)
async def _model(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(model="gpt-9"), metadata=service.credentials))

    assert "command-a-03-2025" in refusal.message + str(refusal.info.metadata)
    return refusal


@reaches("MAX_TOKENS_ABOVE_CAP", C.PERMISSION_DENIED)
async def _max_tokens(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(max_tokens=CAP + 1), metadata=service.credentials))

    assert refusal.fields == {"max_tokens"}
    assert str(CAP) in refusal.message
    return refusal


@reaches("INPUT_TOKENS_ABOVE_CAP", C.PERMISSION_DENIED)
async def _input(service: Cohort) -> Refusal:
    return await refused(service.stub.Embed(embed("x" * 5000), metadata=service.credentials))


@reaches("REQUEST_MALFORMED", C.INVALID_ARGUMENT)
async def _malformed(service: Cohort) -> Refusal:
    rpc: Any = service.channel.unary_unary("/cohort.v1.GatewayService/Chat")
    return await refused(rpc(b"\xff\xff\xff", metadata=service.credentials))


@reaches("REQUEST_INVALID", C.INVALID_ARGUMENT)
async def _invalid(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(temperature=2.0, k=501), metadata=service.credentials))

    assert refusal.fields == {"temperature", "k"}
    return refusal


@reaches("REQUEST_BODY_TIMEOUT", C.DEADLINE_EXCEEDED)
async def _no_body(service: Cohort) -> Refusal:
    call: Any = service.channel.stream_unary("/cohort.v1.GatewayService/Chat")(metadata=service.credentials, timeout=20)
    return await refused(call)


@reaches("DEADLINE_TOO_SHORT", C.DEADLINE_EXCEEDED)
async def _short(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=1.0))

    assert not service.sent()
    return refusal


@reaches("DEADLINE_EXCEEDED", C.DEADLINE_EXCEEDED)
async def _late(service: Cohort) -> Refusal:
    service.fault(latency_ms=2000)
    return await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=2.5))


@reaches("UPSTREAM_POOL_FULL", C.RESOURCE_EXHAUSTED)
async def _pool(service: Cohort) -> Refusal:
    service.fault(latency_ms=1500)
    first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials, timeout=20))
    await until(service.sent)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials, timeout=20))
    first.cancel()

    assert refusal.retry_s is not None
    return refusal


@reaches("COHERE_KEY_MISSING", C.FAILED_PRECONDITION)
async def _no_key(service: Cohort) -> Refusal:
    return await refused(service.stub.Chat(chat(), metadata=service.credentials))


@reaches("COHERE_RATE_LIMITED", C.RESOURCE_EXHAUSTED)
async def _rate_limited(service: Cohort) -> Refusal:
    service.fault(status=429, retry_after=30)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert refusal.retry_s == 30
    return refusal


@reaches("TRIAL_MONTHLY_CAP", C.RESOURCE_EXHAUSTED)
async def _monthly(service: Cohort) -> Refusal:
    service.fault(status=429, message="You are using a Trial key, which is limited to 1000 API calls / month.")
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert refusal.retry_s is None
    return refusal


@reaches("COHERE_GENERATION_FAILED", C.ABORTED)
async def _in_band(service: Cohort) -> Refusal:
    service.fault(in_band_error="SOMETHING_NEW")
    return await refused(service.stub.Chat(chat(), metadata=service.credentials))


upstream("COHERE_REQUEST_REJECTED", C.INVALID_ARGUMENT, status=400, message="no such thing")
upstream("COHERE_REQUEST_TOO_LARGE", C.INVALID_ARGUMENT, status=413)
upstream("COHERE_CONTENT_DENIED", C.INVALID_ARGUMENT, status=498)
upstream("COHERE_MODEL_NOT_FOUND", C.NOT_FOUND, status=404)
upstream("COHERE_CONFLICT", C.ABORTED, status=409)
upstream("COHERE_KEY_REJECTED", C.FAILED_PRECONDITION, status=401)
upstream("COHERE_BILLING", C.FAILED_PRECONDITION, status=402)
upstream("COHERE_KEY_FORBIDDEN", C.FAILED_PRECONDITION, status=403)
upstream("INVALID_TOOL_GENERATION", C.ABORTED, status=422, error_type="INVALID_TOOL_GENERATION")
upstream("HALLUCINATED_ALL_TOOL_CALLS", C.ABORTED, status=422, error_type="HALLUCINATED_ALL_TOOL_CALLS")
upstream("NO_VALID_RESPONSE_GENERATED", C.ABORTED, status=422, error_type="NO_VALID_RESPONSE_GENERATED")
upstream("COHERE_INTERNAL", C.INTERNAL, status=500)
upstream("COHERE_NOT_IMPLEMENTED", C.UNIMPLEMENTED, status=501)
upstream("COHERE_UNAVAILABLE", C.UNAVAILABLE, status=502, body="html")
upstream("COHERE_CONNECTION_LOST", C.UNAVAILABLE, disconnect=True, reset=True)
upstream("COHERE_TIMED_OUT", C.UNAVAILABLE, silence=True)
upstream("COHERE_MALFORMED_ANSWER", C.INTERNAL, malformed="syntax")
upstream("COHERE_ANSWER_TOO_LARGE", C.RESOURCE_EXHAUSTED, padding_bytes=2_000_000)


@pytest.fixture
async def narrowed(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cohort]:
    reason = request.node.callspec.params["reason"]
    (tmp_path / "kek").write_text("0123456789abcdef" * 4)
    async with cohort(
        tmp_path,
        server="body_timeout_seconds = 0.3\n" + f"deadline_margin_ms = {MARGINS_MS.get(reason, 20)}",
        cohere=f"silence_timeout_seconds = {1 if reason == 'COHERE_TIMED_OUT' else 30}\n"
        "answer_bytes_max = 1000000\npool_wait_seconds = 0.1\n"
        + ("connections_max = 1" if reason == "UPSTREAM_POOL_FULL" else ""),
        team='endpoints = ["chat", "embed"]\nmax_input_tokens_per_call = 4000',
        cohere_key=None if reason == "COHERE_KEY_MISSING" else "sandbox-production",
        **CASES[reason].terms,
    ) as running:
        yield running


@pytest.mark.parametrize("reason", sorted(CASES))
async def test_each_reason_is_reached_with_its_code_and_details(narrowed: Cohort, reason: str) -> None:
    refusal = await CASES[reason].case(narrowed)

    assert (refusal.reason, refusal.code, refusal.info.domain) == (reason, CASES[reason].code, "cohort")
    assert refusal.call_id
    assert refusal.message


@pytest.mark.parametrize("reason", ["CREDENTIAL_REJECTED", "REQUEST_INVALID", "COHERE_INTERNAL"])
async def test_each_refusal_leaves_one_line_with_its_reason(narrowed: Cohort, reason: str) -> None:
    refusal = await CASES[reason].case(narrowed)

    lines = [line for line in narrowed.lines() if line["call_id"] == refusal.call_id]
    assert [(line["code"], line["reason"]) for line in lines] == [(refusal.code.name, reason)]


def test_no_reason_is_left_out() -> None:
    values = ErrorReason.DESCRIPTOR.values_by_name
    named = {name.removeprefix("ERROR_REASON_") for name in values} - {"UNSPECIFIED"}
    print(f"reasons reached {len(CASES)}/{len(named)}")

    assert set(CASES) == named
