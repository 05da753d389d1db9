"""Messages just below 1 MiB, in the shapes that keep Cohort busiest."""

import dataclasses

import orjson
from google.protobuf.message import Message

from bench.workloads import CHAT_MODEL, EMBED_MODEL, Workload, chat_workload, embed_workload, rerank_workload, words
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, Document, FunctionDefinition, Tool
from cohort.v1.embed_pb2 import EmbedRequest

LARGE_BYTES = 1024 * 1024
_CALLS, _IN_FLIGHT = 128, 8
_FRAME_BYTES = 256
"""Left for the model's name, settings and the frames of the parts."""
_PARTS = 4900
"""Just below the most parts that a request may have."""
_TEXTS = 96


def large_workloads() -> list[Workload]:
    """One workload for each shape."""
    chat, embed = chat_workload(), embed_workload("Embed", texts=_TEXTS)
    rerank = rerank_workload(documents=1000, document_words=200)
    return [
        _large("Chat, one text", chat, _one_text()),
        _large("Chat, 4,900 messages", chat, _many_messages()),
        _large("Chat, 4,900 documents", chat, _many_documents()),
        _large("Chat, one tool's schema", chat, _large_schema()),
        _large("Embed, 96 texts", embed, _long_texts()),
        _large("Rerank, 1,000 documents", rerank, rerank.request),
    ]


def _large(name: str, workload: Workload, request: Message) -> Workload:
    if not LARGE_BYTES * 0.8 < request.ByteSize() <= LARGE_BYTES:
        raise ValueError(f"{name}: {request.ByteSize()} bytes are not just below {LARGE_BYTES}")
    return dataclasses.replace(workload, name=name, request=request, calls=_CALLS, in_flight=_IN_FLIGHT)


def _one_text() -> ChatRequest:
    return _asking("é" * ((LARGE_BYTES - _FRAME_BYTES) // 2))


def _many_messages() -> ChatRequest:
    text = words(38)
    messages = [ChatMessage(role=("user", "assistant")[number % 2], text=text) for number in range(_PARTS)]
    return ChatRequest(model=CHAT_MODEL, messages=messages)


def _many_documents() -> ChatRequest:
    data = orjson.dumps({"text": words(32)}).decode()
    request = _asking(words(10))
    request.documents.extend(Document(id=str(number), data_json=data) for number in range(_PARTS))
    return request


def _large_schema() -> ChatRequest:
    described = {"type": "string", "description": words(20)}
    schema = {"type": "object", "properties": {f"property_{number}": described for number in range(6000)}}
    function = FunctionDefinition(name="look_up", parameters_json=orjson.dumps(schema).decode())
    request = _asking(words(10))
    request.tools.append(Tool(function=function))
    return request


def _long_texts() -> EmbedRequest:
    texts = [words(LARGE_BYTES // _TEXTS // 6)] * _TEXTS
    return EmbedRequest(model=EMBED_MODEL, input_type="search_document", embedding_types=["float"], texts=texts)


def _asking(text: str) -> ChatRequest:
    return ChatRequest(model=CHAT_MODEL, messages=[ChatMessage(role="user", text=text)])
