from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.telemetry import tracing
from tests.e2e.cohort_service import cohort
from tests.e2e.requests import chat, refused

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_each_call_is_a_span_of_the_callers_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "OTLPSpanExporter", lambda: exporter)
    async with cohort(tmp_path, more="[tracing]\nenabled = true\n") as service:
        answer = await service.stub.Chat(chat(), metadata=(*service.credentials, ("traceparent", PARENT)))
        await refused(service.stub.Chat(chat(temperature=9.0), metadata=service.credentials))
    good, bad = exporter.get_finished_spans()

    assert good.parent is not None
    assert f"{good.context.trace_id:032x}" == PARENT.split("-")[1]
    assert good.kind is trace.SpanKind.SERVER
    assert good.name == "cohort.v1.GatewayService/Chat"
    assert dict(good.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "cohort.v1.GatewayService",
        "rpc.method": "Chat",
        "cohort.call_id": answer.receipt.call_id,
        "cohort.team": "demo",
        "cohort.attempts": 1,
        "gen_ai.request.model": "command-a-03-2025",
        "rpc.response.status_code": "OK",
    }
    assert (bad.status.status_code, bad.status.description) == (trace.StatusCode.ERROR, "REQUEST_INVALID")
    assert not bad.events
