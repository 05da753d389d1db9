"""Puts together what belongs to one attempt: the row of its hold, its intent, how it ended, and whether all agree."""

from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, NamedTuple, Self

from service.books.spool import Spool
from service.books.verification.bodies import Ended, Terms
from service.books.verification.findings import Report
from service.books.verification.times import OVERDUE_US, utc

_HOLD, _INTENT, _OUTCOME, _FORFEIT = range(4)


class Hold(NamedTuple):
    """A row of call_hold."""

    call_id: str
    attempt: int
    budget_id: str
    period_start_us: int
    hold_nanos: int
    charge_nanos: int | None
    has_outcome: int
    state: str
    price_version: str
    at_us: int
    endpoint: str
    model: str
    credential_id: str

    @property
    def terms(self) -> Terms:
        """What the intent has to say."""
        return Terms(
            self.budget_id, self.period_start_us, self.hold_nanos, self.price_version,
            self.endpoint, self.model, self.credential_id,
        )  # fmt: skip

    @property
    def committed_nanos(self) -> int:
        """What it takes of its period: the charge, or what is held as long as that is not known."""
        return self.hold_nanos if self.charge_nanos is None else self.charge_nanos

    @property
    def is_placeholder(self) -> bool:
        """It keeps the place of an admission that was given up and never became durable: nobody recorded it."""
        return (self.state, self.hold_nanos, self.charge_nanos, self.price_version) == ("void", 0, 0, "")


class AttemptCheck:
    """Takes holds and records in any order, and compares them at the end.

    Args:
        report: Told what does not hold.
        is_whole: All holds and records are there; without, only what is there is compared.
    """

    def __init__(self, report: Report, *, is_whole: bool) -> None:
        self._report = report
        self._is_whole = is_whole
        self._spool = Spool()
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._spool.__exit__(kind, error, at)

    def hold(self, row: tuple[Any, ...]) -> None:
        """Takes a row of call_hold."""
        self._add(row[0], row[1], _HOLD, row)

    def intent(self, call_id: str, attempt: int, terms: Terms, at_us: int, where: str) -> None:
        """Takes what an intent says."""
        self._add(call_id, attempt, _INTENT, (at_us, tuple(terms), where))

    def outcome(self, call_id: str, attempt: int, ended: Ended, at_us: int, where: str) -> None:
        """Takes what an outcome says."""
        self._add(call_id, attempt, _OUTCOME, (at_us, tuple(ended), where))

    def forfeit(self, call_id: str, attempt: int, hold_nanos: int, where: str) -> None:
        """Takes what a notice says of one attempt that nobody ended."""
        self._add(call_id, attempt, _FORFEIT, (hold_nanos, where))

    def finish(self, alive_at_us: int) -> None:
        """Compares.

        Args:
            alive_at_us: The last sign of life of any process of the service.
        """
        for (call_id, attempt), rows in groupby(self._spool.sorted(), key=itemgetter(0, 1)):
            found: tuple[list[Any], ...] = ([], [], [], [])
            for _, _, source, _, payload in rows:
                found[source].append(payload)
            self._report.counted["attempts"] += 1
            _Attempt(self._report, f"hold {call_id}/{attempt}", *found).compare(alive_at_us, is_whole=self._is_whole)

    def _add(self, call_id: str, attempt: int, source: int, payload: tuple[Any, ...]) -> None:
        self._taken += 1  # tells equal keys apart, so that payloads are never compared
        self._spool.add((call_id, attempt, source, self._taken, payload))


class _Attempt:
    """Everything that bears the name of one attempt."""

    def __init__(
        self, report: Report, where: str, holds: list[Any], intents: list[Any], outcomes: list[Any], forfeits: list[Any]
    ) -> None:
        self._report = report
        self._where = where
        self._holds = holds
        self._intents = intents
        self._outcomes = sorted(outcomes, key=itemgetter(0))
        self._forfeits = forfeits

    def compare(self, alive_at_us: int, *, is_whole: bool) -> None:
        for at_us, _, where in self._intents[1:]:
            self._report.broken("record_repeated", where, f"the intent of {self._where} stands again, {utc(at_us)}")
        for hold in self._holds[1:]:
            self._report.broken("row_repeated", self._where, f"stands again, in the state {hold[7]}")
        if self._intents and self._holds:
            self._compare_hold(Hold(*self._holds[0]), alive_at_us)
        elif self._intents and is_whole:
            self._report.broken("hold_missing", self._where, f"removed: {self._intents[0][2]} is its intent")
        elif not self._intents and is_whole:
            self._tell_no_intent()
        self._compare_ends()

    def _tell_no_intent(self) -> None:
        for _, _, where in self._outcomes:
            self._report.broken("intent_missing", where, f"the outcome of {self._where}, of which there is no intent")
        for _, where in self._forfeits:
            self._report.broken("intent_missing", where, f"forfeits {self._where}, of which there is no intent")
        if not (self._outcomes or self._forfeits or Hold(*self._holds[0]).is_placeholder):
            self._report.broken("intent_missing", self._where, "no record tells of it")

    def _compare_hold(self, hold: Hold, alive_at_us: int) -> None:
        at_us, terms, where = self._intents[0]
        differing = [name for name, kept, said in zip(Terms._fields, hold.terms, terms, strict=True) if kept != said]
        if hold.at_us != at_us:
            differing.append("at_us")
        if differing:
            self._report.broken("hold_changed", self._where, f"its intent {where} has another {', '.join(differing)}")
        now, told = (hold.state, hold.charge_nanos, hold.has_outcome), ("open", None, 0)
        if self._outcomes:
            _, ended, where = self._outcomes[0]
            told = (ended[0], ended[1], 1)
        elif self._forfeits:
            told, where = ("forfeited", None, 0), self._forfeits[0][1]
        if now != told and told[0] == "open":
            self._report.broken("outcome_missing", self._where, f"is {hold.state}, but no record says how it ended")
        elif now != told:
            what = f"is {hold.state} at {hold.charge_nanos}, but {where} says {told[0]} at {told[1]}"
            self._report.broken("hold_changed", self._where, what)
        elif told[0] == "open" and at_us < alive_at_us - OVERDUE_US:
            what = f"open since {utc(at_us)}, longer than any call: it has neither outcome nor forfeit"
            self._report.broken("outcome_missing", self._where, what)

    def _compare_ends(self) -> None:
        """An attempt has one outcome, and before it may have been forfeited once."""
        for _, _, where in self._outcomes[1:]:
            self._report.broken("record_repeated", where, f"{self._where} ends again")
        for _, where in self._forfeits[1:]:
            self._report.broken("record_repeated", where, f"{self._where} is forfeited again")
        if not self._intents:
            return
        at_us, terms, intent_where = self._intents[0]
        for _, ended, where in self._outcomes:
            if ended[2:] != (terms[1], terms[2], at_us):
                what = f"tells another period, hold or time of admission than the intent {intent_where}"
                self._report.broken("outcome_differs", where, what)
        for nanos, where in self._forfeits:
            if nanos != terms[2]:
                self._report.broken("outcome_differs", where, f"forfeits another hold than {self._where} has")
