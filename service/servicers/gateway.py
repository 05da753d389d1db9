"""GatewayService: validate → policy → price → attempts → answer. The pipeline and nothing else."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from clients.codec import chat, embed, rerank
from clients.codec.embed import FloatsAs
from clients.slot import Slot
from clients.teams import FloatTrust
from cohort.v1.chat_pb2 import ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.get_usage_pb2 import GetUsageRequest, GetUsageResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from cohort.v1.usage_pb2 import BilledUnits, Receipt
from service.attempt_ends import Answered
from service.attempts import Attempts
from service.books.books import Books
from service.books.content import ContentHasher
from service.call import Call, current_call
from service.call_content import content_of
from service.context import Context
from service.drain import Drain, EventWriter
from service.errors import RequestInvalid
from service.limits.limits import Limits
from service.money import fill_money
from service.offload import LARGE_BYTES, LARGE_PACKED_BYTES, in_thread_if
from service.policy import Endpoint, Policy, terms_of
from service.pricing import PriceBook
from service.quote import Quote, quote_of
from service.servicers.exchange import Exchange
from service.servicers.generation import failure_of_answer, failure_of_end
from service.servicers.usage import UsageAnswers
from service.validation import Violation, violations_of_chat, violations_of_embed, violations_of_rerank


class GatewayServicer:
    """Chat, ChatStream, Embed, Rerank and GetUsage for the team of the caller.

    Args:
        exchange: With Cohere.
        attempts: Holds, sends, charges and records.
        drain: Keeps what was sent when its caller leaves.
        floats: How embeddings are asked for.
        hasher: Names content in the records.
        limits: How often and how much at once.
        books: What reports are made from.
    """

    def __init__(
        self,
        exchange: Exchange,
        attempts: Attempts,
        drain: Drain,
        floats: FloatTrust,
        hasher: ContentHasher,
        limits: Limits,
        books: Books,
    ) -> None:
        self._usage = UsageAnswers(books, limits)
        self._limits = limits
        self._exchange = exchange
        self._attempts = attempts
        self._drain = drain
        self._floats = floats
        self._hasher = hasher

    async def Chat(self, request: ChatRequest, _: Context) -> ChatResponse:
        """Answers a conversation in one message."""
        call = current_call()
        body, quote = await self._prepared(call, "chat", _chat_body, request, stream=False)
        response = ChatResponse()

        async def once(slot: Slot) -> Answered:
            await self._exchange.post(call, slot, "/v2/chat", body, chat.decode, response)
            return _answered(call, response.usage, failure_of_answer(response))

        answered = await self._attempt(call, quote, once)
        if answered.failure is not None:
            raise answered.failure
        _receive(call, response.receipt)
        return response

    async def ChatStream(self, request: ChatRequest, context: Context) -> None:
        """Answers a conversation event by event."""
        call = current_call()
        body, quote = await self._prepared(call, "chat", _chat_body, request, stream=True)
        events = EventWriter(call, context)
        end = ChatStreamResponse()

        async def once(slot: Slot) -> Answered:
            await self._exchange.stream(call, slot, body, events, end)
            return _answered(call, end.message_end.usage, failure_of_end(end.message_end))

        answered = await self._attempt(call, quote, once, events)
        _receive(call, end.message_end.receipt)
        await events.write(end)
        if answered.failure is not None:
            raise answered.failure

    async def Embed(self, request: EmbedRequest, _: Context) -> EmbedResponse:
        """Turns texts and images into vectors."""
        call = current_call()
        base_url = call.snapshot.client_of(call.caller.team).base_url
        floats_as = self._floats.floats_as(base_url, request.model)
        body, quote = await self._prepared(call, "embed", _embed_body, request, floats_as=floats_as)
        packed = floats_as is FloatsAs.BASE64 and set(request.embedding_types) <= {"float"}
        large_bytes = LARGE_PACKED_BYTES if packed else LARGE_BYTES
        response = EmbedResponse()

        async def once(slot: Slot) -> Answered:
            equal = await self._exchange.post(
                call, slot, "/v2/embed", body, _embedded, response, large_bytes, request=request, floats_as=floats_as
            )
            if floats_as is FloatsAs.BOTH and response.embeddings.floats:
                self._floats.learn(base_url, request.model, response.embeddings.floats[0].values, equal=equal)
            return _answered(call, response.meta)

        inputs = len(request.texts) + len(request.images) + len(request.inputs)
        await self._attempt(call, quote, once, inputs=inputs)
        _receive(call, response.receipt)
        return response

    async def Rerank(self, request: RerankRequest, _: Context) -> RerankResponse:
        """Orders documents by their relevance to a query."""
        call = current_call()
        body, quote = await self._prepared(call, "rerank", _rerank_body, request)
        response = RerankResponse()

        async def once(slot: Slot) -> Answered:
            await self._exchange.post(call, slot, "/v2/rerank", body, rerank.decode, response)
            return _answered(call, response.meta)

        await self._attempt(call, quote, once)
        _receive(call, response.receipt)
        return response

    async def GetUsage(self, request: GetUsageRequest, _: Context) -> GetUsageResponse:
        """Shows what was consumed, what it cost, and what is left."""
        return await self._usage.answer(current_call(), request)

    async def _prepared(
        self, call: Call, endpoint: Endpoint, body_of: Callable[..., bytes], request: Any, **how: Any
    ) -> tuple[bytes, Quote]:
        """What is sent, and what it may cost; fills *call* with what the records say of the request."""
        call.model, call.endpoint = request.model, endpoint
        raw, call.request = call.request, b""
        large = len(raw) > LARGE_BYTES
        snapshot, caller = call.snapshot, call.caller
        policy = snapshot.policy_of(caller.team).narrowed(caller.models, caller.max_tokens_per_call)
        work = self._prepare
        body, quote, call.content = await in_thread_if(
            large, work, endpoint, body_of, request, snapshot.price_book, policy, raw, how
        )
        return body, quote

    def _prepare(
        self,
        endpoint: Endpoint,
        body_of: Callable[..., bytes],
        request: Any,
        prices: PriceBook,
        policy: Policy,
        raw: bytes,
        how: dict[str, Any],
    ) -> tuple[bytes, Quote, dict[str, Any]]:
        body = body_of(request, policy, **how)
        return body, quote_of(prices, policy.team, endpoint, request), content_of(self._hasher, raw, request)

    async def _attempt(
        self,
        call: Call,
        quote: Quote,
        once: Callable[[Slot], Awaitable[Answered]],
        events: EventWriter | None = None,
        *,
        inputs: int = 0,
    ) -> Answered:
        client = call.snapshot.client_of(call.caller.team)

        def attempts() -> Coroutine[Any, Any, Answered]:
            return self._attempts.run(call, client, quote, once)

        return await self._drain.run(call, self._limits.run(call, inputs, attempts), events)


def _answered(call: Call, usage: Any, failure: Any = None) -> Answered:
    """What Cohere reports of an answer; *usage* is the message that holds its `billed_units`."""
    billed: BilledUnits | None = usage.billed_units if usage.HasField("billed_units") else None
    call.billed_units = billed
    return Answered(billed, failure)


def _receive(call: Call, receipt: Receipt) -> None:
    receipt.call_id = call.call_id
    fill_money(receipt.cost, call.cost_nanos)
    if call.remaining_nanos is not None:
        fill_money(receipt.budget_remaining, call.remaining_nanos)


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
