"""A caller may leave at any moment: the charge is what Cohere billed, or the hold, and never less."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import grpc.aio
import orjson
import pytest

from clients.codec import chat as codec
from clients.sandbox import chat as sandbox_chat
from cohort.v1.chat_pb2 import ChatRequest
from service.books.entries import Admission, Entry, Settlement
from tests.books_facts import Facts, Hold, Kept, facts_of
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.gates import Gate, SandboxGate, stop_answers, stop_before_admit, stop_commit
from tests.e2e.requests import chat, until

DEADLINE_S = 1.5
SERVER = "deadline_margin_ms = 100"
ENDS = {"cancel": "CANCELLED", "deadline": "DEADLINE_EXCEEDED"}
Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[Cohort]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.prove)])
def serving(request: pytest.FixtureRequest, tmp_path: Path) -> Serving:
    database = "sqlite:cohort.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return lambda **terms: cohort(tmp_path, database=database, **terms)


def asking(tag: str) -> ChatRequest:
    return chat(f"Repeat after me: three wise men {tag}")


def frames_of(request: ChatRequest) -> int:
    """The events of the sandbox's stream."""
    answer = sandbox_chat.answer(orjson.loads(codec.encode(request, stream=True)), "")
    assert answer.events is not None
    return len(answer.events)


class Leaver:
    """A caller who reads a stream's first events, and is gone when the sandbox has sent as many frames."""

    def __init__(self, service: Cohort, number: int, way: str, frames: int, events: int) -> None:
        self.request = asking(f"{way[0]}{number:02}")
        self.gate = SandboxGate(frames)
        self.way = way
        self._service = service
        self._events = events

    @property
    def text(self) -> str:
        return self.request.messages[0].text

    async def leave(self) -> None:
        timeout = DEADLINE_S if self.way == "deadline" else None
        call = self._service.stub.ChatStream(self.request, metadata=self._service.credentials, timeout=timeout)
        try:
            for _ in range(self._events):
                await call.read()
            if self.way == "cancel":
                await self.gate.reached.wait()
                call.cancel()
            await call.read()
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            return


def leavers_of(service: Cohort, monkeypatch: pytest.MonkeyPatch) -> list[Leaver]:
    """One for each frame and way to leave. The last event, with its receipt, comes only when all is written down."""
    frames = frames_of(asking("x00"))
    at = {"cancel": range(-1, frames + 2), "deadline": range(-1, frames)}
    leavers = [
        Leaver(service, number, way, number, max(0, min(number, frames - 1)))
        for way, numbers in at.items()
        for number in numbers
    ]
    stop_answers(monkeypatch, {leaver.text: leaver.gate for leaver in leavers})
    return leavers


async def leave_together(service: Cohort, leavers: list[Leaver]) -> None:
    await asyncio.gather(*(leaver.leave() for leaver in leavers))
    await until(lambda: len(service.lines()) == len(leavers))


def hold_of(service: Cohort, facts: Facts, text: str) -> tuple[Hold, list[Kept]]:
    """The only attempt of the call with this content, and its records."""
    name = service.service.kept.hasher.of(text.encode())
    (call_id,) = {r.call_id for r in facts.records if r.kind == "intent" and name in r.body["request"]["texts"]}
    (hold,) = (hold for hold in facts.holds if hold.call_id == call_id)
    return hold, facts.of_call(call_id)


def bill_of(service: Cohort) -> dict[str, int]:
    """What the sandbox bills, by the id it gave to each answer."""
    keys = service.sandbox.state.bill.described()["keys"]
    return {a["debug_trace_id"]: a["cost_nanos"] for key in keys.values() for a in key["attempts"]}


def last_word(records: list[Kept]) -> str:
    """The code that the caller got, as the records say; one of them, and no more, counts the call."""
    (closing,) = (record for record in records if record.closes)
    corrections = [record for record in records if "corrects" in record.body]
    return str((corrections or [closing])[-1].body["code"])


async def nothing_open(service: Cohort) -> Facts:
    """Waits until no attempt is under way, with its caller or without, and everything is written."""
    await until(lambda: len(service.lines("drained")) == sum("detached" in line for line in service.lines()))
    await until(lambda: not service.service.kept.committer.waiting)
    facts = await facts_of(service.service.kept.database)
    assert not any(hold.state == "open" for hold in facts.holds)
    return facts


async def test_leaving_at_any_event_of_a_stream_costs_what_cohere_bills(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(server=SERVER) as service:
        leavers = leavers_of(service, monkeypatch)
        await leave_together(service, leavers)
        for leaver in leavers:
            leaver.gate.opened.set()
        facts = await nothing_open(service)
        bill = bill_of(service)

        assert facts.problems() == []
        assert len(facts.holds) == len(bill) == len(leavers)
        for leaver in leavers:
            hold, records = hold_of(service, facts, leaver.text)
            (outcome,) = (record for record in records if record.kind == "outcome")
            assert (hold.state, hold.charge_nanos) == ("settled", bill[outcome.body["debug_trace_id"]])
            assert last_word(records) == ENDS[leaver.way]
        assert sum(facts.committed.values()) == sum(bill.values())
        print(f"left {len(leavers)} times; charged {sum(bill.values())} nano-USD as billed")


async def test_leaving_a_stream_that_does_not_end_costs_the_hold(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(server=f"drain_seconds = 0.5\n{SERVER}") as service:
        frames = frames_of(asking("x00"))
        leavers = [leaver for leaver in leavers_of(service, monkeypatch) if leaver.gate.frames < frames]
        await leave_together(service, leavers)
        facts = await nothing_open(service)
        bill = bill_of(service)

        assert facts.problems() == []
        assert len(facts.holds) == len(bill) == len(leavers)
        for leaver in leavers:
            hold, records = hold_of(service, facts, leaver.text)
            assert (hold.state, hold.charge_nanos) == ("forfeited", None)
            assert hold.hold_nanos >= max(bill.values())
            assert last_word(records) == ENDS[leaver.way]
        for leaver in leavers:
            leaver.gate.opened.set()


async def test_leaving_after_the_last_event_changes_nothing(service: Cohort) -> None:
    request = asking("z00")
    call = service.stub.ChatStream(request, metadata=service.credentials)
    events: list[Any] = [await call.read() for _ in range(frames_of(request))]
    call.cancel()
    await until(service.lines)
    facts = await nothing_open(service)
    hold, records = hold_of(service, facts, request.messages[0].text)

    assert facts.problems() == []
    assert events[-1].message_end.receipt.cost.nanos == hold.charge_nanos == sum(bill_of(service).values())
    assert last_word(records) in {"OK", "CANCELLED"}


class Stage(NamedTuple):
    """A moment in a unary call."""

    stop: Callable[[pytest.MonkeyPatch, Cohort, ChatRequest], Gate]
    state: str
    """Of the hold in the end, "" for none."""


def _before_admit(patched: pytest.MonkeyPatch, _service: Cohort, _request: ChatRequest) -> Gate:
    gate = Gate()
    stop_before_admit(patched, gate)
    return gate


def _sent(patched: pytest.MonkeyPatch, _service: Cohort, request: ChatRequest) -> Gate:
    gate = SandboxGate(-1)
    stop_answers(patched, {request.messages[0].text: gate})
    return gate


def _committing(kind: type[Entry], *, durable: bool) -> Callable[[pytest.MonkeyPatch, Cohort, ChatRequest], Gate]:
    def stop(patched: pytest.MonkeyPatch, service: Cohort, _request: ChatRequest) -> Gate:
        gate = Gate()
        stop_commit(patched, service.service.kept, kind, gate, durable=durable)
        return gate

    return stop


STAGES = {
    "before it is admitted": Stage(_before_admit, ""),
    "before its hold is durable": Stage(_committing(Admission, durable=False), "void"),
    "when its hold is durable": Stage(_committing(Admission, durable=True), "void"),
    "when it is sent": Stage(_sent, "settled"),
    "when it is answered": Stage(_committing(Settlement, durable=False), "settled"),
    "when its outcome is durable": Stage(_committing(Settlement, durable=True), "settled"),
}


@pytest.mark.parametrize("moment", STAGES)
@pytest.mark.parametrize("way", ENDS)
async def test_leaving_a_unary_call_costs_what_cohere_bills(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, moment: str, way: str
) -> None:
    stage = STAGES[moment]
    async with serving(server=SERVER) as service:
        request = asking("u00")
        gate = stage.stop(monkeypatch, service, request)
        timeout = DEADLINE_S / 3 if way == "deadline" else None
        call = service.stub.Chat(request, metadata=service.credentials, timeout=timeout)
        await gate.reached.wait()
        if way == "cancel":
            call.cancel()
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
        await until(service.lines)
        gate.opened.set()
        facts = await nothing_open(service)
        bill = bill_of(service)

        assert facts.problems() == []
        admitted = [hold.state for hold in facts.holds if hold.price_version]
        assert admitted == ([stage.state] if stage.state else [])
        assert [hold.charge_nanos for hold in facts.holds if hold.charge_nanos] == list(bill.values())
        assert last_word(facts.of_call(str(service.lines()[0]["call_id"]))) == ENDS[way]
