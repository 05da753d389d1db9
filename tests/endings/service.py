"""The way of a call from its interceptor to Cohere and back, in simulated time, on a database that fails as told.

All of it is the service's own but gRPC's context, the team's key, and what Cohere does: each attempt is told.
"""

import asyncio
import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from google.protobuf.message import Message
from yarl import URL

from clients.cohere_key import CohereKey
from clients.errors import UpstreamError
from clients.pacing.errors import UpstreamBusy
from clients.slot import Slot
from clients.teams import FloatTrust
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ChatResponse, ChatStreamResponse
from cohort.v1.usage_pb2 import BilledUnits
from service import call as calls
from service.attempts import Attempts
from service.books.alerts import Alerts
from service.books.books import Books
from service.books.content import ContentHasher
from service.books.entries import UTC
from service.books.refusals import Refusals
from service.call import Call
from service.context import Context
from service.drain import Drain, EventWriter
from service.errors import CredentialMissing
from service.identity.principal import Principal
from service.interceptors.audit import AuditInterceptor
from service.policy import Policy
from service.pricing import load
from service.quote import quote_of
from service.servicers.gateway import GatewayServicer
from service.snapshot import BudgetTerms, Snapshot
from service.status import Outcome, outcome_of
from service.telemetry.log import CallLog, LogStream
from service.telemetry.metrics import Metrics
from tests.books.scripted import Scene, ScriptedDatabase
from tests.unit.service.stand_ins import unlimited

TEAM, MODEL, RPC = "search", "command-a-03-2025", "/cohort.v1.GatewayService/Chat"
REQUEST = ChatRequest(model=MODEL, max_tokens=100, messages=[ChatMessage(role="user", text="hello")])
PRICES = load()
HOLD_NANOS = quote_of(PRICES, TEAM, "chat", REQUEST).hold_nanos
BILLED = BilledUnits(input_tokens=4, output_tokens=2)
BILLED_NANOS = 4 * 2_500 + 2 * 10_000
OVERRUN = BilledUnits(input_tokens=100_000, output_tokens=10_000)
DRAIN_S = 5.0


@dataclass
class Step:
    """What Cohere does with one attempt.

    Attributes:
        error: How it fails; None if it is answered.
        sends: The request's first byte leaves.
        connects_s: How long it takes until then.
        works_s: How long the answer takes.
        billed: The units that the answer names, if it names any.
        finish_reason: As the answer says.
        events: How many events a stream has before its end.
    """

    error: Exception | None = None
    sends: bool = True
    connects_s: float = 0.001
    works_s: float = 0.01
    billed: BilledUnits | None = field(default_factory=lambda: BILLED)
    finish_reason: str = "COMPLETE"
    events: int = 2


class Cohere:
    """Stands for the exchange with Cohere.

    Attributes:
        steps: What it does next; afterwards it answers.
        sent: For each attempt of each call, by (call id, number), whether anything left.
    """

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()
        self.sent: dict[tuple[str, int], bool] = {}

    async def post(self, call: Call, slot: Slot, *request: Any) -> None:
        response = request[-1]
        assert isinstance(response, ChatResponse)
        response.Clear()
        step = await self._begin(call, slot)
        await asyncio.sleep(step.works_s)
        if step.error is not None:
            raise step.error
        response.finish_reason = step.finish_reason
        if step.billed is not None:
            response.usage.billed_units.CopyFrom(step.billed)
        call.answer_content = {"bytes": 2, "hmac": "00"}

    async def stream(self, call: Call, slot: Slot, _: bytes, events: EventWriter, end: ChatStreamResponse) -> None:
        step = await self._begin(call, slot)
        for _event in range(step.events):
            await asyncio.sleep(step.works_s / (step.events + 1))
            await events.write(ChatStreamResponse())
        await asyncio.sleep(step.works_s / (step.events + 1))
        if step.error is not None:
            raise step.error
        end.message_end.finish_reason = step.finish_reason
        if step.billed is not None:
            end.message_end.usage.billed_units.CopyFrom(step.billed)

    async def _begin(self, call: Call, slot: Slot) -> Step:
        step = self.steps.popleft() if self.steps else Step()
        key = call.call_id, call.attempts
        self.sent[key] = False
        await asyncio.sleep(step.connects_s)
        self.sent[key] = slot.sent = step.sends
        return step


class Client:
    """Stands for the team's way to Cohere: turns that come as told, and a key that can be renewed, or not.

    Attributes:
        turns_s: How long the next attempts wait for their turns; None: too long. Those after them do not wait.
    """

    base_url = URL("http://cohere.test")

    def __init__(self) -> None:
        self.keys = self
        self.renews = True
        self.turns_s: deque[float | None] = deque()

    def has_turn(self, *_: Any) -> bool:
        return not self.turns_s or self.turns_s[0] == 0.0

    async def slot(self, *_: Any) -> Slot:
        wait_s = self.turns_s.popleft() if self.turns_s else 0.0
        if wait_s is None:
            raise UpstreamBusy("chat", 500, 10_000_000)
        await asyncio.sleep(wait_s)
        return Slot(CohereKey("key", 1), self.base_url)

    async def another(self, _: CohereKey, _endpoint: str) -> bool:
        await asyncio.sleep(0.002)
        return self.renews

    def answered(self, _: Slot, _endpoint: str, _status: int | None) -> None:
        """What Cohere thinks of the key is of no matter here."""

    def unused(self, _: Slot, _endpoint: str) -> None:
        """Nor is what was not sent."""


class Peer:
    """Stands for gRPC's context of one RPC."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads

    async def write(self, _: Message) -> None:
        if not self.reads:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


@dataclass
class Made:
    """A call, and what its caller got: None while it waits."""

    call: Call
    task: "asyncio.Task[Any]"
    got: Outcome | None = None
    response: Any = None


class Service:
    """One process of the service."""

    def __init__(
        self, scene: Scene, *, limit_nanos: int = 100 * HOLD_NANOS, strict: bool = False, dear_nanos: int = 10**9
    ) -> None:
        self.scene = scene
        self.cohere, self.client, self.metrics = Cohere(), Client(), Metrics()
        self.books = Books(scene.database, scene.committer)
        self.budget = BudgetTerms(limit_nanos, UTC)
        self.alerted: list[str] = []
        self.refusals = Refusals()
        self.log = io.BytesIO()
        self.audit = AuditInterceptor(CallLog(LogStream(self.log)), self.books, self.refusals)
        self.drain = Drain(DRAIN_S, self.audit.drained)
        alerts = Alerts(lambda kind, _: self.alerted.append(kind), lambda: dear_nanos)
        pacer: Any = SimpleNamespace(slow=lambda *_: None, give_back=lambda _: None)
        attempts = Attempts(
            pacer, self.books, lambda _: self.budget, self.metrics, alerts, strict=strict, jitter=lambda: 0.5
        )  # fmt: skip
        exchange: Any = self.cohere
        hasher = ContentHasher(bytes(32))
        self.gateway = GatewayServicer(
            exchange, attempts, self.drain, FloatTrust(), hasher, unlimited(self.books), self.books
        )
        self.made: list[Made] = []

    @classmethod
    async def new(cls, *steps: Step, **how: Any) -> "Service":
        service = cls(await Scene.new(), **how)
        service.cohere.steps.extend(steps)
        return service

    @property
    def database(self) -> ScriptedDatabase:
        return self.scene.database

    def begin(
        self,
        *,
        streams: bool = False,
        timeout_s: float = 30.0,
        known: bool = True,
        request: ChatRequest = REQUEST,
        peer: Peer | None = None,
        peer_name: str = "ipv4:192.0.2.7:50051",
    ) -> Made:
        """Begins a call; *known* tells whether its credential is."""
        context = cast("Context", peer or Peer())
        call = Call(RPC, self._snapshot(), asyncio.get_running_loop().time() + timeout_s, peer=peer_name)
        method = self.gateway.ChatStream if streams else self.gateway.Chat

        async def proceed(call: Call, context: Context) -> Any:
            if not known:
                raise CredentialMissing
            call.principal = Principal(TEAM, "tests", frozenset(), "access_key", "key-1")
            call.request = request.SerializeToString()
            asked = ChatRequest()
            asked.CopyFrom(request)
            return await method(asked, context)

        made = Made(call, asyncio.create_task(self._run(call, context, proceed)))
        made.task.add_done_callback(lambda task: _tell(made, task))
        self.made.append(made)
        return made

    async def ended(self) -> None:
        """Waits for every call, for what runs on without its caller, and until the books are written."""
        await asyncio.wait([made.task for made in self.made])
        await self.drain.close()
        self.give_notice()
        assert await self.scene.committer.close(60.0) == 0

    def give_notice(self) -> None:
        """Tells of the refusals of the last second that have no record of their own; another second begins."""
        for notice in self.refusals.notices():
            self.books.submit(notice)

    async def _run(self, call: Call, context: Context, proceed: Callable[[Call, Context], Any]) -> Any:
        calls.enter(call)
        return await self.audit.intercept(call, context, proceed)

    def _snapshot(self) -> Snapshot:
        snapshot: Any = SimpleNamespace(
            policy_of=lambda _: Policy(TEAM, frozenset({"chat"}), frozenset({MODEL}), max_tokens_per_call=1_000),
            client_of=lambda _: self.client,
            budget_of=lambda _: self.budget,
            price_book=PRICES,
        )
        return cast("Snapshot", snapshot)


def _tell(made: Made, task: "asyncio.Task[Any]") -> None:
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    made.got = outcome_of(error)
    if error is None:
        made.response = task.result()


def upstream(reason: Any, billing: Any, status: int | None = None, retry_after_s: float | None = None) -> UpstreamError:
    """How an attempt can fail."""
    return UpstreamError(reason, "no", billing=billing, status=status, retry_after_s=retry_after_s)
