"""Verifies the books: takes them section by section, in the order of `walk`, and says what does not hold.

Memory does not grow with records, holds, checkpoints or rollups, which are sorted in temporary files; it does with
writers and with budgets and their days, by some hundred bytes each.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from service.books import sections
from service.books.sections import Section
from service.books.signing import VerifyingKey
from service.books.verification.attempts import AttemptCheck, Hold
from service.books.verification.bodies import (
    Unreadable,
    attempt_of,
    day_of,
    ended_of,
    forfeits_of,
    object_of,
    share_of,
    shares_of,
    terms_of,
)
from service.books.verification.chains import ChainCheck, Writer
from service.books.verification.checkpoints import CheckpointCheck
from service.books.verification.findings import Finding, Report
from service.books.verification.money import MoneyCheck
from service.books.verification.slices import SliceCheck
from service.books.verification.usage import UsageCheck


class Verifier:
    """One verification. Use as a context manager: it keeps temporary files.

    Args:
        told: Called with each finding.
        keys: Who may have signed; none if signatures cannot be checked.
        is_whole: All of the books are there, not a part of them.
    """

    def __init__(self, told: Callable[[Finding], object], keys: Iterable[VerifyingKey], *, is_whole: bool) -> None:
        self.report = Report(told)
        self._is_whole = is_whole
        with ExitStack() as held:
            by_id = {key.key_id: key for key in keys}
            self._checkpoints = held.enter_context(CheckpointCheck(self.report, by_id, is_whole=is_whole))
            self._attempts = held.enter_context(AttemptCheck(self.report, is_whole=is_whole))
            self._money = held.enter_context(MoneyCheck(self.report, is_whole=is_whole))
            self._usage = held.enter_context(UsageCheck(self.report, self._money, is_whole=is_whole))
            self._held = held.pop_all()
        self._writers: dict[str, Writer] = {}
        self._chains: ChainCheck | SliceCheck | None = None
        self._at_us = 0
        self._taken: Mapping[str, Callable[[Sequence[tuple[Any, ...]]], None]] = {
            sections.CHECKPOINTS.name: self._checkpoints.take,
            sections.WRITERS.name: self._writer_rows,
            sections.PERIODS.name: _each(self._money.period),
            sections.BUDGETS.name: _each(self._money.budget),
            sections.PRICES.name: _each(self._money.prices),
            sections.RECORDS.name: self._record_rows,
            sections.HOLDS.name: self._hold_rows,
            sections.ADJUSTS.name: _each(self._money.adjust),
            sections.QUARTERS.name: _each(self._usage.quarter),
            sections.DAYS.name: _each(self._usage.day),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.__exit__(kind, error, at)

    def begin(self, at_us: int) -> None:
        """The books were read at this time."""
        self._at_us = at_us
        self._money.begin(at_us)

    def take_file(self, name: str, lines: Iterable[bytes]) -> None:
        """Takes an outside file of checkpoints; before any section."""
        self._checkpoints.take_file(name, lines)

    def take(self, section: Section, rows: Sequence[tuple[Any, ...]]) -> None:
        """Takes the next rows, in the order of `walk`."""
        if not all(map(section.holds, rows)):
            for row in rows:
                if not section.holds(row):
                    self.unreadable(f"{section.name} {row[:2]!r}")
            rows = list(filter(section.holds, rows))
        self._taken[section.name](rows)

    def unreadable(self, where: str) -> None:
        """Something is there that the service does not write."""
        self.report.broken("unreadable", where, "holds what the service does not write")

    def finish(self) -> Report:
        """Compares what can only be compared at the end."""
        chains = self._chain_check()
        chains.finish()
        self._checkpoints.finish()
        self._attempts.finish(max(chains.newest_at_us, self._checkpoints.newest_at_us or 0))
        self._money.finish()
        self._usage.finish()
        return self.report

    def _writer_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for writer_id, started_at_us, head_seq, head_hash, *counts in rows:
            self._writers[writer_id] = Writer(started_at_us, head_seq, head_hash, tuple(counts))

    def _hold_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for row in rows:
            hold = Hold(*row)
            self._attempts.hold(row)
            if not hold.is_placeholder:  # whose day may never have been opened
                self._money.committed(
                    hold.budget_id, hold.period_start_us, hold.committed_nanos, f"hold {hold.call_id}/{hold.attempt}"
                )

    def _record_rows(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._chain_check().take(rows)
        self.report.counted["records"] += len(rows)
        for writer_id, seq, kind, call_id, team, at_us, body, *_ in rows:
            try:
                self._read(kind, call_id, team, at_us, body, f"writer {writer_id}/{seq}")
            except Unreadable as error:
                self.report.broken("record_unreadable", f"writer {writer_id}/{seq}", str(error))

    def _read(self, kind: str, call_id: str, team: str, at_us: int, body: str, where: str) -> None:
        fields = object_of(body)
        if kind == "intent":
            terms = terms_of(team, fields)
            self._money.priced(terms.price_version, where)
            self._attempts.intent(call_id, attempt_of(fields), terms, at_us, where)
        elif kind == "outcome":
            ended = ended_of(fields)
            self._attempts.outcome(call_id, attempt_of(fields), ended, at_us, where)
            self._usage.record(team, ended.admitted_at_us, ended.period_start_us, share_of(fields, ended))
        else:
            for share in shares_of(fields):
                self._usage.record(team, at_us, day_of(fields), share)
            if kind == "notice":
                self._read_notice(team, at_us, fields, where)

    def _read_notice(self, team: str, at_us: int, fields: dict[str, Any], where: str) -> None:
        match fields.get("event"):
            case "holds_forfeited":
                for call_id, attempt, hold_nanos in forfeits_of(fields):
                    self._attempts.forfeit(call_id, attempt, hold_nanos, where)
            case "adjusted":
                self._money.adjusted(team, fields, at_us, where)
            case "frozen" | "unfrozen" as event:
                self._money.frozen(team, at_us, where, frozen=event == "frozen")

    def _chain_check(self) -> ChainCheck | SliceCheck:
        """Made with the first record: it needs all that comes before."""
        if self._chains is None and self._is_whole:
            self._chains = ChainCheck(self.report, self._checkpoints, self._writers, self._at_us)
        elif self._chains is None:
            self._chains = SliceCheck(self.report, self._checkpoints)
        return self._chains


def _each(take: Callable[[tuple[Any, ...]], None]) -> Callable[[Sequence[tuple[Any, ...]]], None]:
    def take_all(rows: Sequence[tuple[Any, ...]]) -> None:
        for row in rows:
            take(row)

    return take_all
