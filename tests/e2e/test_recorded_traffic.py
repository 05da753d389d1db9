"""Recorded traffic, replayed by a local HTTP server through the whole service: both directions stay what they were."""

import array
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from aiohttp import web

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, Document, FunctionDefinition, Tool
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from tests.conformance import json_values
from tests.conformance.answer_json import chat_json, embed_json, event_json, rerank_json
from tests.conformance.json_values import assert_same, canonical
from tests.conformance.recordings import Recording, recordings
from tests.e2e.cohort_service import CAP, Cohort, cohort
from tests.e2e.requests import refusal_of
from tests.shared_notes import requires_shared

pytestmark = requires_shared
ALL = list(recordings())


@contextlib.asynccontextmanager
async def replayed(recording: Recording, folder: Path) -> AsyncIterator[tuple[Cohort, list[dict[str, Any]]]]:
    """A service whose Cohere gives the recorded answer to everything, and the requests that Cohere got."""
    received: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        received.append({"path": request.path, "body": await request.json()})
        kept = {"content-type", "x-debug-trace-id", "num_tokens", "x-api-warning"}
        headers = {name: value for name, value in recording.headers.items() if name in kept}
        return web.Response(status=recording.status, headers=headers, body=recording.body)

    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    model = json.dumps([recording.request["model"]])
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with cohort(folder, base_url=url, models=model, prices=prices_of(recording)) as service:
            yield service, received
    finally:
        await runner.cleanup()


def prices_of(recording: Recording) -> str:
    """A price for the recorded model: some are no longer offered, one never was."""
    lines = {
        "/v2/chat": 'endpoint = "chat"\ncontext_tokens = 128_000\noutput_tokens_max = 4_096\n'
        "usd_per_million_input_tokens = 1\nusd_per_million_output_tokens = 1\n",
        "/v2/embed": 'endpoint = "embed"\nusd_per_million_input_tokens = 1\n',
        "/v2/rerank": 'endpoint = "rerank"\ncontext_tokens = 4_096\nusd_per_thousand_search_units = 1\n',
    }
    return f'version = "recorded"\n[models."{recording.request["model"]}"]\n{lines[recording.path]}'


def request_of(recording: Recording) -> Any:
    """The recorded request, as a caller of ours writes it. Members that are null were not sent by our callers."""
    members = {name: value for name, value in recording.request.items() if value is not None and name != "stream"}
    match recording.path:
        case "/v2/embed":
            return EmbedRequest(**members)
        case "/v2/rerank":
            return RerankRequest(**members)
    messages = [ChatMessage(role=message["role"], text=message["content"]) for message in members.pop("messages")]
    tools = [
        Tool(
            type=tool["type"],
            function=FunctionDefinition(
                name=tool["function"]["name"],
                description=tool["function"]["description"],
                parameters_json=json.dumps(tool["function"]["parameters"]),
            ),
        )
        for tool in members.pop("tools", ())
    ]
    documents = [
        Document(id=document.get("id"), data_json=json.dumps(document["data"]))
        for document in members.pop("documents", ())
    ]
    return ChatRequest(messages=messages, tools=tools, documents=documents, **members)


def expected_request(recording: Recording) -> dict[str, Any]:
    """What Cohere must get: the recorded request after the two documented rewrites."""
    body = {name: value for name, value in recording.request.items() if value is not None}
    if recording.path == "/v2/chat":
        body.setdefault("max_tokens", CAP)
    if recording.path == "/v2/embed":
        body["embedding_types"] = ["float", "base64"]
    return body


def as_float32(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its embeddings as the float32 they are, which is how they compare."""
    floats = answer.get("embeddings", {}).get("float")
    if floats:
        answer["embeddings"]["float"] = [array.array("f", vector).tolist() for vector in floats]
    return answer


def named(recording: Recording) -> str:
    return recording.name


@pytest.mark.parametrize("recording", [one for one in ALL if one.status == 200 and not one.is_stream], ids=named)
async def test_a_recorded_exchange_passes_the_whole_service_unchanged(recording: Recording, tmp_path: Path) -> None:
    async with replayed(recording, tmp_path) as (service, received):
        method = {"/v2/chat": "Chat", "/v2/embed": "Embed", "/v2/rerank": "Rerank"}[recording.path]
        answer = await getattr(service.stub, method)(request_of(recording), metadata=service.credentials)

    rebuild: Any = {"Chat": chat_json, "Embed": embed_json, "Rerank": rerank_json}[method]
    rebuilt = rebuild(answer)
    shape = {"Chat": json_values.CHAT, "Embed": json_values.EMBED, "Rerank": json_values.RERANK}[method]
    assert received == [{"path": recording.path, "body": expected_request(recording)}]
    assert_same(canonical(rebuilt, shape), canonical(as_float32(json.loads(recording.body)), shape))
    assert answer.receipt.call_id


@pytest.mark.parametrize("recording", [one for one in ALL if one.is_stream], ids=named)
async def test_a_recorded_stream_passes_the_whole_service_unchanged(recording: Recording, tmp_path: Path) -> None:
    events = []
    async with replayed(recording, tmp_path) as (service, received):
        try:
            async for event in service.stub.ChatStream(request_of(recording), metadata=service.credentials):
                events.append(event)  # noqa: PERF401 (those before a failure count too)
            reason = ""
        except grpc.aio.AioRpcError as error:
            reason = refusal_of(error).reason

    assert received == [{"path": recording.path, "body": expected_request(recording)}]
    end = events[-1].message_end
    assert reason == (end.error_type if end.finish_reason == "ERROR" else "")
    assert end.receipt.call_id
    bodies = [json.loads(data) for data in recording.events]
    assert len(bodies) == len(events)
    for event, body in zip(events, bodies, strict=True):
        shape = json_values.EVENTS[body["type"]]
        assert_same(canonical(event_json(event), shape), canonical(body, shape))


@pytest.mark.parametrize("recording", [one for one in ALL if one.status != 200], ids=named)
async def test_a_recorded_refusal_reaches_the_caller_in_cohere_s_words(recording: Recording, tmp_path: Path) -> None:
    async with replayed(recording, tmp_path) as (service, _):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.Embed(request_of(recording), metadata=service.credentials)

    refusal = refusal_of(raised.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "COHERE_MODEL_NOT_FOUND")
    assert refusal.message == json.loads(recording.body)["message"]


def test_every_recording_is_replayed() -> None:
    print(f"recordings replayed {len(ALL)}, events {sum(len(one.events) for one in ALL if one.is_stream)}")
    assert len(ALL) >= 7
