"""Tries a Cohere key on the smallest call that its team may make, paid by the team's budget as any other."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from google.protobuf.message import Message

from clients.codec import chat, embed, rerank
from clients.codec.embed import FloatsAs
from clients.cohere_key import CohereKey
from clients.errors import UpstreamError
from clients.key_ring import KeyRing
from clients.slot import Slot
from clients.teams import TeamClient
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ChatResponse
from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from service.attempt_ends import Answered
from service.attempts import Attempts
from service.book_refusals import refusal_of
from service.books.content import ContentHasher
from service.books.errors import BooksError, ModelNotPriced
from service.call import Call
from service.call_content import content_of
from service.errors import CohortError
from service.identity.principal import Principal
from service.quote import Quote, quote_of
from service.rotation.history import Cause
from service.rotation.parts import Checked
from service.servicers.exchange import Exchange
from service.snapshot import Snapshot

PROBE_TIMEOUT_S = 15.0
RPC = "/cohort.v1.GatewayService/RotateKey"
Request: TypeAlias = ChatRequest | EmbedRequest | RerankRequest

_CAUSES = {401: Cause.KEY_REJECTED, 402: Cause.BILLING, 403: Cause.KEY_FORBIDDEN}


class _Trial(NamedTuple):
    """One call, ready to be made."""

    request: Request
    quote: Quote
    path: str
    body: bytes
    decode: Callable[..., Any]
    response: Any
    how: dict[str, Any]


class SmallestCall:
    """See `Probe`.

    Args:
        exchange: With Cohere.
        attempts: Holds, sends, charges and records.
        hasher: Names content in the records.
        snapshot: What is in force.
    """

    def __init__(
        self, exchange: Exchange, attempts: Attempts, hasher: ContentHasher, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._exchange = exchange
        self._attempts = attempts
        self._hasher = hasher
        self._snapshot = snapshot

    async def __call__(self, team: str, key: CohereKey, by: str) -> Checked:
        """Makes it; what it shows of the key."""
        snapshot = self._snapshot()
        trial = smallest_call(snapshot, team)
        if trial is None:
            return Checked(Cause.PROBE_FAILED, message="the team may call no model that has a price")
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._make(self._call(snapshot, team, by, trial), key, trial)
        except UpstreamError as error:
            cause = _CAUSES.get(error.status or 0, Cause.PROBE_FAILED)
            return Checked(cause, message=f"{error.message} (a call of {trial.quote.model})")
        except BooksError as error:
            refusal = refusal_of(error)
            return Checked(Cause.PROBE_FAILED, message=refusal.message if refusal else str(error))
        except CohortError as error:
            return Checked(Cause.PROBE_FAILED, message=error.message)
        except TimeoutError:
            return Checked(Cause.PROBE_FAILED, message=f"no answer within {PROBE_TIMEOUT_S:g} s")
        return Checked(None)

    async def _make(self, call: Call, key: CohereKey, trial: _Trial) -> None:
        ring = KeyRing()
        ring.use(key)
        client = TeamClient(call.caller.team, call.snapshot.client_of(call.caller.team).base_url, ring, "")

        async def once(slot: Slot) -> Answered:
            await self._exchange.post(call, slot, trial.path, trial.body, trial.decode, trial.response, **trial.how)
            usage = trial.response.usage if isinstance(trial.response, ChatResponse) else trial.response.meta
            return Answered(usage.billed_units if usage.HasField("billed_units") else None)

        try:
            await self._attempts.run(call, client, trial.quote, once)
        finally:
            ring.close()

    def _call(self, snapshot: Snapshot, team: str, by: str, trial: _Trial) -> Call:
        deadline_s = asyncio.get_running_loop().time() + PROBE_TIMEOUT_S
        call = Call(RPC, snapshot, deadline_s, principal=Principal(team, by, frozenset(), "rotation", ""))
        call.endpoint, call.model = trial.quote.endpoint, trial.quote.model
        call.content = content_of(self._hasher, trial.request.SerializeToString(), trial.request)
        return call


def smallest_call(snapshot: Snapshot, team: str) -> _Trial | None:
    """The call of a team that can cost least; None if it may make none."""
    policy, prices = snapshot.policy_of(team), snapshot.price_book
    trials = []
    for model in sorted(policy.models):
        price = prices.price_of(model)
        if price is None or price.endpoint not in policy.endpoints:
            continue
        request = _request(price.endpoint, model)
        try:
            quote = quote_of(prices, team, price.endpoint, request)
        except ModelNotPriced:
            continue
        trials.append((quote.hold_nanos, model, request, quote))
    if not trials:
        return None
    _, _, request, quote = min(trials, key=lambda each: each[:2])
    return _trial(request, quote)


def _request(endpoint: str, model: str) -> Request:
    match endpoint:
        case "embed":
            return EmbedRequest(model=model, input_type="search_query", texts=["."], embedding_types=["float"])
        case "rerank":
            return RerankRequest(model=model, query=".", documents=["."], top_n=1)
        case _:
            return ChatRequest(model=model, messages=[ChatMessage(role="user", text=".")], max_tokens=1)


def _trial(request: Request, quote: Quote) -> _Trial:
    response: Message
    match request:
        case ChatRequest():
            body, response = chat.encode(request, stream=False), ChatResponse()
            return _Trial(request, quote, "/v2/chat", body, chat.decode, response, {})
        case EmbedRequest():
            how = {"request": request, "floats_as": FloatsAs.FLOAT}
            body, response = embed.encode(request, floats_as=FloatsAs.FLOAT), EmbedResponse()
            return _Trial(request, quote, "/v2/embed", body, embed.decode, response, how)
        case RerankRequest():
            body, response = rerank.encode(request), RerankResponse()
            return _Trial(request, quote, "/v2/rerank", body, rerank.decode, response, {})
