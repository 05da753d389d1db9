import array
import asyncio
import uuid
from pathlib import Path

import grpc.aio
import pytest

from cohort.client.assemble import assemble
from cohort.v1.chat_pb2 import ChatMessage, Document
from tests.e2e.cohort_service import CAP, Cohort, cohort
from tests.e2e.requests import EMBED_MODEL, chat, embed, refused, refused_stream, rerank, until


def sent(service: Cohort) -> list[dict[str, object]]:
    return [request.described()["body"] for request in service.sent()]


def upstream_calls(service: Cohort) -> int:
    return len(service.sent())


async def test_a_chat_is_answered_with_a_receipt(service: Cohort) -> None:
    call = service.stub.Chat(chat(), metadata=service.credentials)
    response = await call

    assert response.message.content[0].text
    assert response.usage.billed_units.input_tokens > 0
    assert uuid.UUID(response.receipt.call_id).version == 7
    assert dict(await call.trailing_metadata())["x-call-id"] == response.receipt.call_id


async def test_an_absent_max_tokens_becomes_the_cap(service: Cohort) -> None:
    await service.stub.Chat(chat(), metadata=service.credentials)
    await service.stub.Chat(chat(max_tokens=7), metadata=service.credentials)

    assert [body["max_tokens"] for body in sent(service)] == [CAP, 7]


async def test_a_stream_reassembles_to_the_unary_answer(service: Cohort) -> None:
    request = chat(documents=[Document(text="The Don crosses Toronto."), Document(text="The Humber does too.")])
    unary = await service.stub.Chat(request, metadata=service.credentials)
    events = [event async for event in service.stub.ChatStream(request, metadata=service.credentials)]
    streamed = assemble(events)

    assert events[-1].message_end.receipt.call_id == streamed.receipt.call_id
    for response in (unary, streamed):
        response.ClearField("id")
        response.ClearField("receipt")
    assert streamed == unary


async def test_a_rerank_is_answered(service: Cohort) -> None:
    response = await service.stub.Rerank(rerank(), metadata=service.credentials)

    assert [result.index for result in response.results] == [1, 0]
    assert response.receipt.call_id


async def test_floats_are_compared_once_and_then_asked_for_as_base64(service: Cohort) -> None:
    first = await service.stub.Embed(embed(), metadata=service.credentials)
    second = await service.stub.Embed(embed(), metadata=service.credentials)

    assert [body["embedding_types"] for body in sent(service)] == [["float", "base64"], ["base64"]]
    assert first.embeddings == second.embeddings
    assert len(first.embeddings.floats) == 2
    assert not first.embeddings.base64


@pytest.mark.parametrize("fault", ["wrong_endian", "missing"])
async def test_base64_that_differs_once_is_never_used_again(service: Cohort, fault: str) -> None:
    service.fault(base64=fault)
    first = await service.stub.Embed(embed(embedding_types=["float"]), metadata=service.credentials)
    second = await service.stub.Embed(embed(embedding_types=["float"]), metadata=service.credentials)

    assert sent(service)[1]["embedding_types"] == ["float"]
    assert first.embeddings == second.embeddings


async def test_embeddings_equal_the_numbers_of_the_json(service: Cohort) -> None:
    import aiohttp

    response = await service.stub.Embed(embed("one two", "three"), metadata=service.credentials)
    async with aiohttp.ClientSession() as session:
        answer = await session.post(
            f"{service.sandbox_url}/v2/embed",
            json={
                "model": EMBED_MODEL,
                "input_type": "search_document",
                "texts": ["one two", "three"],
                "embedding_types": ["float"],
            },
            headers={"Authorization": "Bearer sandbox-production"},
        )
        numbers = (await answer.json())["embeddings"]["float"]

    assert [array.array("f", vector.values) for vector in response.embeddings.floats] == [
        array.array("f", vector) for vector in numbers
    ]


async def test_a_failure_in_mid_stream_ends_the_stream_after_its_event(service: Cohort) -> None:
    service.fault(in_band_error="INVALID_TOOL_GENERATION")
    events, refusal = await refused_stream(service.stub.ChatStream(chat(), metadata=service.credentials))

    assert events[-1].message_end.finish_reason == "ERROR"
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "INVALID_TOOL_GENERATION")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"eof_after_events": 3}, "COHERE_CONNECTION_LOST"),
        ({"cut_after_events": 3}, "COHERE_CONNECTION_LOST"),
        ({"malformed": "syntax"}, "COHERE_MALFORMED_ANSWER"),
    ],
)
async def test_a_broken_stream_is_an_error_never_a_short_answer(
    service: Cohort, fault: dict[str, object], reason: str
) -> None:
    service.fault(**fault)
    events, refusal = await refused_stream(service.stub.ChatStream(chat(), metadata=service.credentials))

    assert refusal.reason == reason
    assert not any(event.HasField("message_end") for event in events)


@pytest.mark.parametrize(
    "fault", [{"split_bytes": 1}, {"split_bytes": 7, "crlf": True}, {"merge": True}, {"comments": True}, {"gzip": True}]
)
async def test_a_stream_survives_its_transport(service: Cohort, fault: dict[str, object]) -> None:
    plain = [event async for event in service.stub.ChatStream(chat(), metadata=service.credentials)]
    service.fault(**fault)
    odd = [event async for event in service.stub.ChatStream(chat(), metadata=service.credentials)]

    assert assemble(odd).message == assemble(plain).message


async def test_an_event_of_an_unknown_kind_is_passed_on(service: Cohort) -> None:
    service.fault(unknown_event=True)
    events = [event async for event in service.stub.ChatStream(chat(), metadata=service.credentials)]

    assert any(event.other_json for event in events)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 0}])
async def test_what_proved_free_is_tried_again(service: Cohort, fault: dict[str, object]) -> None:
    service.fault(**fault)
    response = await service.stub.Chat(chat(), metadata=service.credentials)

    assert response.message.content
    assert upstream_calls(service) == 2
    assert service.lines()[-1]["attempts"] == 2


@pytest.mark.parametrize(
    "fault",
    [{"status": 500}, {"status": 503, "body": "html"}, {"disconnect": True}, {"status": 429}, {"malformed": "types"}],
)
async def test_what_may_have_cost_money_is_never_tried_again(service: Cohort, fault: dict[str, object]) -> None:
    service.fault(**fault)
    await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert upstream_calls(service) == 1


async def test_there_are_never_more_than_three_attempts(service: Cohort) -> None:
    service.fault(status=503, times=9)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert refusal.reason == "COHERE_UNAVAILABLE"
    assert upstream_calls(service) == 3


async def test_a_refused_key_that_was_renewed_is_tried_again(service: Cohort) -> None:
    (service.folder / "demo.key").write_text("sandbox-trial")
    service.fault(status=401, key="sandbox-production")
    response = await service.stub.Chat(chat(), metadata=service.credentials)

    assert response.message.content
    assert [request.key_name for request in service.sent()] == ["sandbox-production", "sandbox-trial"]


async def test_a_caller_that_cancels_is_drained_to_the_bill(service: Cohort) -> None:
    service.fault(latency_ms=400)
    call = service.stub.Chat(chat(), metadata=service.credentials)
    await until(lambda: upstream_calls(service))
    call.cancel()
    await until(lambda: service.lines("drained"))
    (line,) = service.lines("drained")

    assert (line["code"], line["detached"]) == ("OK", True)
    assert line["billed_units"]
    assert [line["code"] for line in service.lines()] == ["CANCELLED"]


async def test_a_cancelled_stream_is_drained_to_the_bill(service: Cohort) -> None:
    service.fault(chunk_gap_ms=20)
    call = service.stub.ChatStream(chat(), metadata=service.credentials)
    await call.read()
    call.cancel()
    await until(lambda: service.lines("drained"))
    (line,) = service.lines("drained")

    assert line["code"] == "OK"
    assert line["billed_units"]


async def test_an_endless_stream_ends_when_its_drain_does(tmp_path: Path) -> None:
    async with cohort(tmp_path, server="drain_seconds = 1\ndeadline_margin_ms = 1000") as service:
        service.fault(endless=True)
        call = service.stub.ChatStream(chat(), metadata=service.credentials, timeout=2.5)
        await call.read()  # and never again
        await until(lambda: service.lines("drained"))
        (line,) = service.lines("drained")

        assert line["code"] == "CANCELLED"
        assert [line["reason"] for line in service.lines()] == ["DEADLINE_EXCEEDED"]
        assert (await service.stub.Chat(chat(), metadata=service.credentials)).receipt.call_id


async def test_the_unforeseen_is_a_bare_internal(service: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    from clients.codec import chat as codec

    def broken(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(codec, "encode", broken)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert (refusal.code, refusal.message, refusal.details) == (grpc.StatusCode.INTERNAL, "Internal error", ())
    assert refusal.call_id
    (line,) = service.lines("unforeseen")
    assert line["call_id"] == refusal.call_id
    assert "ZeroDivisionError" in str(line)
    assert b"secret detail" not in service.log.getvalue()


async def test_all_violations_come_at_once(service: Cohort) -> None:
    refusal = await refused(
        service.stub.Chat(
            chat(
                messages=[ChatMessage(role="owner", text="x", content=[]), ChatMessage(role="user")],
                temperature=float("nan"),
                p=2.0,
            ),
            metadata=service.credentials,
        )
    )

    assert {"messages[0].role", "temperature", "p"} <= refusal.fields
    assert any(name.startswith("messages[1]") for name in refusal.fields)


async def test_two_hundred_calls_keep_apart(service: Cohort) -> None:
    async def one(number: int) -> tuple[int, str]:
        response = await service.stub.Rerank(
            rerank(query=f"q{number}", documents=[f"d{number}"] * (number % 5 + 1)), metadata=service.credentials
        )
        return len(response.results), response.receipt.call_id

    await service.channel.channel_ready()  # more streams than one connection takes wait, once its limit is known
    answers = await asyncio.gather(*(one(number) for number in range(200)))

    assert [count for count, _ in answers] == [number % 5 + 1 for number in range(200)]
    assert len({call_id for _, call_id in answers}) == 200


async def test_no_line_holds_content_or_credentials(service: Cohort) -> None:
    await service.stub.Chat(chat("a very private question"), metadata=service.credentials)
    await refused(service.stub.Chat(chat(temperature=9.0), metadata=service.credentials))
    log = service.log.getvalue()

    for secret in (b"very private", service.access_key.encode(), b"sandbox-production"):
        assert secret not in log
