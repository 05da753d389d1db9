import struct

import orjson
import pytest

from bench.large import LARGE_BYTES, large_workloads
from bench.workloads import RECEIPT, STREAM_EVENTS, Workload, all_workloads
from clients.codec import stream
from clients.sse import DONE, EventParser
from cohort.v1.chat_pb2 import ChatRequest, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.validation import violations_of_chat, violations_of_embed, violations_of_rerank

EVERY = [*all_workloads().values(), *large_workloads()]
named = pytest.mark.parametrize("workload", EVERY, ids=lambda workload: workload.name)


@named
def test_requests_are_ones_that_the_service_passes(workload: Workload) -> None:
    match workload.request:
        case ChatRequest() as request:
            assert violations_of_chat(request) == []
        case EmbedRequest() as request:
            assert violations_of_embed(request) == []
        case RerankRequest() as request:
            assert violations_of_rerank(request) == []
        case other:
            pytest.fail(f"no rules for {type(other)}")


@named
def test_a_frame_is_a_flag_a_length_and_the_message(workload: Workload) -> None:
    compressed, size = struct.unpack(">?I", workload.frame[:5])

    assert (compressed, size) == (False, len(workload.frame) - 5)
    assert type(workload.request).FromString(workload.frame[5:]) == workload.request


@named
def test_the_last_message_holds_a_receipt_of_the_size_that_callers_get(workload: Workload) -> None:
    last = workload.messages[-1]
    holder = last.message_end if isinstance(last, ChatStreamResponse) else last

    assert holder.receipt == RECEIPT  # type: ignore[attr-defined]
    assert workload.answer_bytes == sum(len(message.SerializeToString()) + 5 for message in workload.messages)


def test_the_canned_stream_holds_the_events_that_callers_get() -> None:
    workload = all_workloads()["ChatStream"]
    *payloads, done = EventParser(1 << 20).feed(workload.answer)
    events = []
    for payload in payloads:
        event = ChatStreamResponse()
        stream.decode_event(payload, event)
        events.append(event)
    events[-1].message_end.receipt.CopyFrom(RECEIPT)

    assert done == DONE
    assert len(events) == STREAM_EVENTS
    assert tuple(events) == workload.messages


@pytest.mark.parametrize(("name", "texts"), [("Embed 1", 1), ("Embed 96", 96)])
def test_the_first_embed_is_answered_in_both_forms_and_later_ones_in_base64(name: str, texts: int) -> None:
    workload = all_workloads()[name]
    assert workload.first_answer is not None
    first, later = orjson.loads(workload.first_answer)["embeddings"], orjson.loads(workload.answer)["embeddings"]

    assert {kind: len(vectors) for kind, vectors in first.items()} == {"float": texts, "base64": texts}
    assert {kind: len(vectors) for kind, vectors in later.items()} == {"base64": texts}


def test_large_messages_stay_just_below_the_size_that_is_promised_not_to_block() -> None:
    sizes = {workload.name: workload.request.ByteSize() / LARGE_BYTES for workload in large_workloads()}

    assert {name: size for name, size in sizes.items() if not 0.8 < size <= 1} == {}
