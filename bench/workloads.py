"""What is measured: requests, the upstream's answers to them, and the messages that callers must get."""

import base64
import itertools
import random
import struct
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import Message

from clients.codec import chat, embed, rerank, stream
from clients.codec.embed import FloatsAs
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from cohort.v1.usage_pb2 import Money, Receipt

CHAT_MODEL, EMBED_MODEL, RERANK_MODEL = "command-a-03-2025", "embed-v4.0", "rerank-v3.5"
CHAT_ON_POSTGRES = "Chat on PostgreSQL"
CHAT_ON_BARE_FILE = "Chat on a bare file"
STREAM_EVENTS = 200
DIMENSION = 1536

CALL_ID = "00000000-0000-7000-8000-000000000000"
RECEIPT = Receipt(
    call_id=CALL_ID,
    cost=Money(currency_code="USD", nanos=5_000_000),
    budget_remaining=Money(currency_code="USD", units=999_999, nanos=999_999_999),
)
_SEED = 20250307
_TEXT = "a ledger of calls holds every answer until the books say what Cohere billed for each of them"
_USAGE = {
    "billed_units": {"input_tokens": 180, "output_tokens": 512},
    "tokens": {"input_tokens": 240, "output_tokens": 512},
}


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of call.

    Attributes:
        name: As tables name it.
        method: The RPC of GatewayService.
        request: What callers send.
        answer: What the upstream answers, the body of a 200.
        messages: What callers must get: one message, or a stream's. Their `call_id` stands for any.
        calls: How many make one measurement of about two seconds.
        first_answer: What the upstream answers to the very first call, if that differs.
        in_flight: How many calls are under way at once.
    """

    name: str
    method: str
    request: Message
    answer: bytes
    messages: tuple[Message, ...]
    calls: int
    first_answer: bytes | None = None
    in_flight: int = 32

    @property
    def streams(self) -> bool:
        """Whether the answer comes in events."""
        return len(self.messages) > 1

    @property
    def frame(self) -> bytes:
        """The request as gRPC frames it: a flag of no compression, four bytes of length, the message."""
        body = self.request.SerializeToString()
        return struct.pack(">?I", False, len(body)) + body

    @property
    def answer_bytes(self) -> int:
        """Size of all messages of one answer, each with its frame's head of five bytes."""
        return sum(5 + message.ByteSize() for message in self.messages)


def all_workloads() -> dict[str, Workload]:
    """Every workload whose CPU is compared with the echo's, by name."""
    made = (
        chat_workload(),
        stream_workload(),
        embed_workload("Embed 1", texts=1, calls=4000),
        embed_workload("Embed 96", texts=96),
        rerank_workload(),
    )
    return {workload.name: workload for workload in made}


def chat_workload(name: str = "Chat") -> Workload:
    """A conversation of four messages, 0.8 KB, answered by 512 tokens, 2.8 KB."""
    request = ChatRequest(model=CHAT_MODEL, max_tokens=1024, temperature=0.3)
    for role, words_wanted in (("system", 30), ("user", 40), ("assistant", 40), ("user", 10)):
        request.messages.append(ChatMessage(role=role, text=words(words_wanted)))
    answer = orjson.dumps(
        {
            "id": CALL_ID,
            "message": {"role": "assistant", "content": [{"type": "text", "text": words(430)}]},
            "finish_reason": "COMPLETE",
            "usage": _USAGE,
        }
    )
    response = ChatResponse()
    chat.decode(answer, response)
    response.receipt.CopyFrom(RECEIPT)
    return Workload(name, "Chat", request, answer, (response,), calls=4000)


def stream_workload() -> Workload:
    """The same conversation, answered by 200 events, most of them a word."""
    request = chat_workload().request
    deltas = STREAM_EVENTS - 4
    events: list[dict[str, Any]] = [
        {"id": CALL_ID, "type": "message-start", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
        *(
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": f" {word}"}}}}
            for word in words(deltas).split()
        ),
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _USAGE}},
    ]
    payloads = [orjson.dumps(event) for event in events]
    answer = b"".join(
        b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), payload)
        for event, payload in zip(events, payloads, strict=True)
    )
    messages = []
    for payload in payloads:
        message = ChatStreamResponse()
        stream.decode_event(payload, message)
        messages.append(message)
    messages[-1].message_end.receipt.CopyFrom(RECEIPT)
    return Workload("ChatStream", "ChatStream", request, answer + b"data: [DONE]\n\n", tuple(messages), calls=160)


def embed_workload(name: str, *, texts: int, calls: int = 1000) -> Workload:
    """Texts of 25 words, answered by vectors of 1,536 numbers in base64."""
    request = EmbedRequest(model=EMBED_MODEL, input_type="search_document", embedding_types=["float"])
    request.texts.extend(words(25) for _ in range(texts))
    draw = random.Random(_SEED)  # noqa: S311 - repeatable, not secret
    packed = [struct.pack(f"<{DIMENSION}f", *(draw.uniform(-0.1, 0.1) for _ in range(DIMENSION))) for _ in range(texts)]
    encoded = [base64.b64encode(vector).decode() for vector in packed]
    numbers = [struct.unpack(f"<{DIMENSION}f", vector) for vector in packed]

    def answer_of(embeddings: dict[str, Any]) -> bytes:
        return orjson.dumps(
            {
                "id": CALL_ID,
                "embeddings": embeddings,
                "texts": list(request.texts),
                "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 25 * texts}},
                "response_type": "embeddings_by_type",
            }
        )

    answer = answer_of({"base64": encoded})
    response = EmbedResponse()
    embed.decode(answer, response, request=request, floats_as=FloatsAs.BASE64)
    response.receipt.CopyFrom(RECEIPT)
    first_answer = answer_of({"float": numbers, "base64": encoded})
    return Workload(name, "Embed", request, answer, (response,), calls=calls, first_answer=first_answer)


def rerank_workload(name: str = "Rerank", *, documents: int = 25, document_words: int = 60) -> Workload:
    """A query and documents, answered by a score for each."""
    request = RerankRequest(model=RERANK_MODEL, query=words(8))
    request.documents.extend([words(document_words)] * documents)
    results = [{"index": index, "relevance_score": 1 / (index + 1.5)} for index in range(documents)]
    answer = orjson.dumps(
        {
            "id": CALL_ID,
            "results": results,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
        }
    )
    response = RerankResponse()
    rerank.decode(answer, response)
    response.receipt.CopyFrom(RECEIPT)
    return Workload(name, "Rerank", request, answer, (response,), calls=4000)


def words(count: int) -> str:
    """*count* words, of which a token has about one."""
    return " ".join(itertools.islice(itertools.cycle(_TEXT.split()), count))
