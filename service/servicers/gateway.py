"""GatewayService: validate → policy → attempts → answer. The pipeline and nothing else."""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from clients.codec import chat, embed, rerank, stream
from clients.codec.embed import FloatsAs
from clients.errors import MalformedAnswer
from clients.slot import Slot
from clients.teams import FloatTrust
from clients.transport import Answer, Transport, cut_off, malformed
from cohort.v1.chat_pb2 import ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from service.attempts import Attempts
from service.books.errors import BooksUnavailable
from service.call import Call, current_call
from service.context import Context
from service.drain import Drain, EventWriter
from service.errors import RequestInvalid
from service.offload import LARGE_BYTES, LARGE_PACKED_BYTES, in_thread_if
from service.policy import Policy, terms_of
from service.servicers.generation import failure_of_answer, failure_of_end
from service.validation import Violation, violations_of_chat, violations_of_embed, violations_of_rerank

R = TypeVar("R")


class GatewayServicer:
    """Chat, ChatStream, Embed and Rerank for the team of the caller."""

    def __init__(self, transport: Transport, attempts: Attempts, drain: Drain, floats: FloatTrust) -> None:
        self._transport = transport
        self._attempts = attempts
        self._drain = drain
        self._floats = floats

    async def Chat(self, request: ChatRequest, _: Context) -> ChatResponse:
        """Answers a conversation in one message."""
        call = current_call()
        body = await self._prepared(call, _chat_body, request, stream=False)
        response = ChatResponse()

        async def once(slot: Slot) -> None:
            response.Clear()
            await self._posted(call, slot, "/v2/chat", body, chat.decode, response)
            call.billed_units = response.usage.billed_units

        await self._drain.run(call, self._attempts.run(call, call.snapshot.client_of(call.caller.team), once))
        failure = failure_of_answer(response)
        if failure is not None:
            raise failure
        response.receipt.call_id = call.call_id
        return response

    async def ChatStream(self, request: ChatRequest, context: Context) -> None:
        """Answers a conversation event by event."""
        call = current_call()
        body = await self._prepared(call, _chat_body, request, stream=True)
        events = EventWriter(call, context)

        async def once(slot: Slot) -> ChatStreamResponse:
            return await self._streamed(call, slot, body, events)

        attempts = self._attempts.run(call, call.snapshot.client_of(call.caller.team), once)
        end = await self._drain.run(call, attempts, events)
        end.message_end.receipt.call_id = call.call_id
        await events.write(end)
        failure = failure_of_end(end.message_end)
        if failure is not None:
            raise failure

    async def Embed(self, request: EmbedRequest, _: Context) -> EmbedResponse:
        """Turns texts and images into vectors."""
        call = current_call()
        client = call.snapshot.client_of(call.caller.team)
        floats_as = self._floats.floats_as(client.base_url, request.model)
        body = await self._prepared(call, _embed_body, request, floats_as=floats_as)
        packed = floats_as is FloatsAs.BASE64 and set(request.embedding_types) <= {"float"}
        large_bytes = LARGE_PACKED_BYTES if packed else LARGE_BYTES
        response = EmbedResponse()

        async def once(slot: Slot) -> None:
            response.Clear()
            equal = await self._posted(
                call, slot, "/v2/embed", body, _embedded, response, large_bytes, request=request, floats_as=floats_as
            )
            if floats_as is FloatsAs.BOTH and response.embeddings.floats:
                self._floats.learn(slot.base_url, request.model, response.embeddings.floats[0].values, equal=equal)
            call.billed_units = response.meta.billed_units

        await self._drain.run(call, self._attempts.run(call, client, once))
        response.receipt.call_id = call.call_id
        return response

    async def Rerank(self, request: RerankRequest, _: Context) -> RerankResponse:
        """Orders documents by their relevance to a query."""
        call = current_call()
        body = await self._prepared(call, _rerank_body, request)
        response = RerankResponse()

        async def once(slot: Slot) -> None:
            response.Clear()
            await self._posted(call, slot, "/v2/rerank", body, rerank.decode, response)
            call.billed_units = response.meta.billed_units

        await self._drain.run(call, self._attempts.run(call, call.snapshot.client_of(call.caller.team), once))
        response.receipt.call_id = call.call_id
        return response

    async def GetUsage(self, _request: GetUsageRequest, _context: Context) -> GetUsageResponse:
        """Shows what was consumed, what it cost, and what is left."""
        raise BooksUnavailable("this service keeps no books")

    async def _prepared(self, call: Call, body_of: Callable[..., bytes], request: Any, **how: Any) -> bytes:
        call.model = request.model
        policy = call.snapshot.policy_of(call.caller.team)
        return await in_thread_if(call.request_bytes > LARGE_BYTES, body_of, request, policy, **how)

    async def _posted(
        self,
        call: Call,
        slot: Slot,
        path: str,
        body: bytes,
        decode: Callable[..., R],
        response: Message,
        large_bytes: int = LARGE_BYTES,
        **how: Any,
    ) -> R:
        answer: Answer = await self._transport.post(slot, path, body)
        call.debug_trace_id, call.upstream_warning = answer.debug_trace_id, answer.warning
        try:
            return await in_thread_if(len(answer.body) > large_bytes, decode, answer.body, response, **how)
        except MalformedAnswer as error:
            raise malformed(error) from None

    async def _streamed(self, call: Call, slot: Slot, body: bytes, events: EventWriter) -> ChatStreamResponse:
        """Passes a stream's events on as they come, and returns the last one unsent."""
        end: ChatStreamResponse | None = None
        async with self._transport.stream(slot, "/v2/chat", body) as answer:
            call.debug_trace_id, call.upstream_warning = answer.debug_trace_id, answer.warning
            async for payload in answer.payloads:
                event = ChatStreamResponse()
                try:
                    await in_thread_if(len(payload) > LARGE_BYTES, stream.decode_event, payload, event)
                except MalformedAnswer as error:
                    raise malformed(error) from None
                if event.HasField("message_end"):
                    end = event
                    break
                await events.write(event)
            if end is None:
                raise cut_off()
            call.billed_units = end.message_end.usage.billed_units
            await answer.finish()
        return end


def _chat_body(request: ChatRequest, policy: Policy, *, stream: bool) -> bytes:
    _require_valid(violations_of_chat(request))
    terms = terms_of(policy, "chat", request)
    if terms.max_tokens is not None:
        request.max_tokens = terms.max_tokens
    return chat.encode(request, stream=stream)


def _embed_body(request: EmbedRequest, policy: Policy, *, floats_as: FloatsAs) -> bytes:
    _require_valid(violations_of_embed(request))
    terms_of(policy, "embed", request)
    return embed.encode(request, floats_as=floats_as)


def _embedded(body: bytes, response: EmbedResponse, *, request: EmbedRequest, floats_as: FloatsAs) -> bool:
    equal = embed.decode(body, response, request=request, floats_as=floats_as)
    embed.require_a_vector_each(request, response)
    return equal


def _rerank_body(request: RerankRequest, policy: Policy) -> bytes:
    _require_valid(violations_of_rerank(request))
    terms_of(policy, "rerank", request)
    return rerank.encode(request)


def _require_valid(violations: list[Violation]) -> None:
    if violations:
        raise RequestInvalid(violations)
