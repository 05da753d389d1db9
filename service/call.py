"""Call: what is known about the RPC in flight, from its first line to its audit record."""

import asyncio
import contextvars
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clients.errors import Billing
from clients.slot import Slot
from cohort.v1.usage_pb2 import BilledUnits
from service.errors import DeadlineTooShort
from service.identity.principal import Principal

if TYPE_CHECKING:
    from service.snapshot import Snapshot
    from service.status import Outcome

ATTEMPT_TIME_MIN_MS = 100
"""With less than this left an attempt is not begun: it could only cost money."""


@dataclass(slots=True)
class Call:
    """One RPC. Interceptors and servicers fill it; the audit interceptor reports it."""

    rpc: str
    """Full method path, e.g. /cohort.v1.GatewayService/Chat."""
    snapshot: "Snapshot"
    """What holds for this call from beginning to end, whatever is reloaded meanwhile."""
    deadline_s: float
    """When our answer must leave, on the event loop's clock."""
    peer: str = ""
    metadata: Iterable[tuple[str, str | bytes]] = field(default=(), repr=False)
    """Holds the credential."""
    call_id: str = field(default_factory=lambda: new_call_id(time.time_ns(), random.getrandbits(80)))
    started_ns: int = field(default_factory=time.perf_counter_ns)
    principal: Principal | None = None
    credential_problem: str = ""
    certificate: str = ""
    """The SPIFFE id of the connection's client certificate, whichever credential identifies the caller."""
    model: str = ""
    request_bytes: int = 0
    attempts: int = 0
    on_record: bool = False
    """An attempt of it was admitted, or may have been, so its end has a record of its own, whatever it is."""
    sent: bool = False
    """Something of it may have reached Cohere, by an attempt that has ended."""
    key_version: int = 0
    upstream_status: int = 0
    upstream_ns: int = 0
    debug_trace_id: str = ""
    upstream_warning: str = ""
    billing: Billing | None = None
    """What is known of the bill of the last attempt, if it failed."""
    upstream_fault: str = ""
    """What kept the last attempt from an answer, by its kind, e.g. ConnectionRefusedError."""
    billed_units: BilledUnits | None = None
    events: int = 0
    slot: Slot | None = None
    """Of the attempt under way."""
    detached: bool = False
    """The caller has left; the attempt runs on without it."""
    left: "Outcome | None" = None
    """What the caller got who left."""
    closed: "Outcome | None" = None
    """What the record that closes this call says; None as long as there is none."""
    counted: bool = False
    """It is one of a flood of refusals: it has no record of its own, nor a log line if nobody knows who calls."""
    endpoint: str = ""
    request: bytes = field(default=b"", repr=False)
    """The request message as it arrived, until `content` describes it."""
    content: dict[str, Any] | None = None
    """Lengths and HMACs of the request, for the intent."""
    answer_content: dict[str, Any] | None = None
    """Length and HMAC of the answer, for the outcome."""
    cost_nanos: int = 0
    """What all attempts together are charged, in nano-USD."""
    remaining_nanos: int | None = None
    """What is left of the budget after the last attempt; None until one was charged."""

    @property
    def latest_turn_s(self) -> float:
        """When an attempt's turn has to come at the latest, on the loop's clock: half of its time is the answer's.

        Else a line that is as long as it may be would let each call begin just before its deadline: billed, and lost.
        """
        left_s = self.deadline_s - asyncio.get_running_loop().time()
        return self.deadline_s - max(left_s / 2, ATTEMPT_TIME_MIN_MS / 1000)

    def require_time_for_an_attempt(self) -> None:
        """Refuses to begin an attempt that could not end in time.

        Raises:
            DeadlineTooShort: Less than `ATTEMPT_TIME_MIN_MS` is left.
        """
        remaining_ms = int((self.deadline_s - asyncio.get_running_loop().time()) * 1000)
        if remaining_ms < ATTEMPT_TIME_MIN_MS:
            raise DeadlineTooShort(max(remaining_ms, 0), ATTEMPT_TIME_MIN_MS)

    @property
    def may_cost(self) -> bool:
        """Something was sent that Cohere may bill, and its answer has not come."""
        return self.slot is not None and self.slot.sent

    @property
    def caller(self) -> Principal:
        """Who calls; known once the auth interceptor has passed the call on."""
        if self.principal is None:
            raise RuntimeError("the call is not authenticated")
        return self.principal


_current: contextvars.ContextVar[Call] = contextvars.ContextVar("call")


def current_call() -> Call:
    """The call of the running RPC."""
    return _current.get()


def enter(call: Call) -> None:
    """Makes *call* the current one, for the rest of this RPC's own task."""
    _current.set(call)


def new_call_id(now_ns: int, entropy: int) -> str:
    """Makes a UUIDv7 (RFC 9562 section 5.7), so that ids sort by time.

    Args:
        now_ns: Unix time in nanoseconds.
        entropy: 80 random bits. They need to be different, not secret.
    """
    number = (now_ns // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | entropy
    number = number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
