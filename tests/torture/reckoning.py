"""Holds what the books say after a torture against what Cohere billed and what callers were told."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from service.books.clock import DatabaseClock
from service.books.committer import Committer
from service.books.content import ContentHasher
from service.books.forfeits import ATTEMPTS_MAX, forfeit, overdue_teams
from service.storage.database import Database
from tests.books_facts import Facts, Hold, Kept
from tests.torture.load import Journal


@dataclass(frozen=True)
class Billed:
    """An attempt on Cohere's own bill."""

    team: str
    at_us: int
    cost_nanos: int
    debug_trace_id: str
    content: str
    """The HMAC of its text."""


def bill_of(file: Path, hasher: ContentHasher) -> list[Billed]:
    lines = (orjson.loads(line) for line in file.read_bytes().splitlines())
    return [
        Billed(
            line["key"],
            line["at_us"],
            line["cost_nanos"],
            line["debug_trace_id"],
            hasher.of(_text_of(line["request"]).encode()),
        )
        for line in lines
    ]


def _text_of(request: dict[str, Any]) -> str:
    if "messages" in request:
        content = request["messages"][-1]["content"]
        return content if isinstance(content, str) else content[0]["text"]
    text: str = request["texts"][0] if "texts" in request else request["query"]
    return text


async def forfeit_all(database: Database) -> None:
    """Marks what no process will end any more, as housekeeping does when it is long overdue."""
    committer = Committer(database, DatabaseClock(await database.now_us()), lambda _: None)
    for team in await database.read(lambda tx: overdue_teams(tx, 0)):
        while await committer.submit(forfeit(team, 0)) == ATTEMPTS_MAX:
            pass


@dataclass
class Reckoning:
    """Facts, bill and journal, compared.

    Attributes:
        problems: What cannot be, in words.
        unresolved: Attempts whose bill the books do not know, each with what it really cost.
    """

    facts: Facts
    bill: list[Billed]
    journal: Journal
    problems: list[str] = field(default_factory=list)
    unresolved: list[tuple[Hold, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.problems += self.facts.problems()
        self.problems += [f"still open: {hold}" for hold in self.facts.holds if hold.state == "open"]
        self._intents: dict[str, list[Kept]] = defaultdict(list)
        for record in self.facts.records:
            if record.kind == "intent":
                self._intents[record.body["request"]["texts"][0]].append(record)
        self._require_intents()
        self._match()
        self._require_sums()
        self._require_told()

    def billed(self, team: str) -> int:
        return sum(each.cost_nanos for each in self.bill if each.team == team)

    def committed(self, team: str) -> int:
        return sum(nanos for (of, _), nanos in self.facts.committed.items() if of == team)

    def _require_intents(self) -> None:
        """Every attempt that Cohere billed was written down before."""
        billed: dict[str, list[Billed]] = defaultdict(list)
        for each in self.bill:
            billed[each.content].append(each)
        for content, attempts in billed.items():
            intents = sorted(intent.at_us for intent in self._intents[content])
            times = sorted(attempt.at_us for attempt in attempts)
            if len(intents) < len(times) or any(a > b for a, b in zip(intents, times, strict=False)):
                self.problems.append(f"billed without an intent before it: {attempts}")

    def _match(self) -> None:
        """What is settled is on the bill to the nano-USD, and what else is on the bill is unresolved."""
        on_bill = {each.debug_trace_id: each for each in self.bill}
        outcomes = {(r.call_id, r.body["attempt"]): r.body for r in self.facts.records if r.kind == "outcome"}
        open_ends: dict[tuple[str, int], Hold] = {}
        for hold in self.facts.holds:
            if hold.is_unresolved:
                open_ends[hold.call_id, hold.attempt] = hold
            elif hold.state == "settled":
                trace_id = outcomes[hold.call_id, hold.attempt].get("debug_trace_id", "")
                found = on_bill.pop(trace_id, None) if hold.charge_nanos else on_bill.get(trace_id)
                if (found.cost_nanos if found else 0, found.team if found else hold.team) != (
                    hold.charge_nanos,
                    hold.team,
                ):
                    self.problems.append(f"{hold} is billed as {found}")
        for each in on_bill.values():
            keys = [(intent.call_id, intent.body["attempt"]) for intent in self._intents[each.content]]
            mine = next((open_ends.pop(key) for key in keys if key in open_ends), None)
            if mine is None or mine.team != each.team or mine.hold_nanos < each.cost_nanos:
                self.problems.append(f"{each} is on no account that could bear it: {mine}")
            else:
                self.unresolved.append((mine, each.cost_nanos))
        self.unresolved += [(hold, 0) for hold in open_ends.values()]

    def _require_sums(self) -> None:
        """What is committed beyond the bill is what the unresolved hold too much, and adjustments."""
        beyond: Counter[str] = Counter()
        for hold, truth_nanos in self.unresolved:
            beyond[hold.team] += hold.hold_nanos - truth_nanos
        for _, team, _, nanos in self.facts.adjusts:
            beyond[team] += nanos
        for team in {team for team, _ in self.facts.committed if team} | {each.team for each in self.bill}:
            if self.committed(team) - self.billed(team) != beyond[team]:
                self.problems.append(f"{team}: {self.committed(team)} - {self.billed(team)} != {beyond[team]}")

    def _require_told(self) -> None:
        """Nothing that a caller was told is missing from the books."""
        charged: Counter[str] = Counter()
        for hold in self.facts.holds:
            charged[hold.call_id] += hold.committed_nanos
        ends: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in self.facts.records:
            if record.closes or "corrects" in record.body:
                ends[record.call_id].append(record.body)
        for call_id, nanos in self.journal.answers.items():
            codes = {end["code"] for end in ends[call_id]}
            told = "OK" in codes if call_id in self.journal.served else bool(codes)
            if not told or charged[call_id] != nanos:
                self.problems.append(f"answered {call_id} for {nanos}, charged {charged[call_id]}: {ends[call_id]}")
        for call_id, reason in self.journal.failures.items():
            if not any(end.get("reason") == reason for end in ends[call_id]):
                self.problems.append(f"refused {call_id} with {reason}: {ends[call_id]}")
        made = {adjust_id: nanos for adjust_id, _, _, nanos in self.facts.adjusts}
        for request_id, nanos in self.journal.adjustments.items():
            if made.get(request_id) != nanos:
                self.problems.append(f"adjustment {request_id} of {nanos} is {made.get(request_id)}")
