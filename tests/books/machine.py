"""Random histories of the books: real transactions on both databases, and every promise held at every step."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.books import forfeits, operations
from service.books.batch import Written
from service.books.chain import ROOT
from service.books.entries import Admission, Admitted, Entry, Note, Withdrawal, Work
from service.books.operations import Operator
from service.books.period import Period, period_at
from service.books.trail import Pen
from service.books.usage import Units
from service.storage.errors import Conflict
from tests.books import making
from tests.books.lockstep import Lockstep, Lost
from tests.books.model import Collision, Key, Model, Told
from tests.books.oracle import require_invariants
from tests.books.promises import require_bills, require_limits, require_model, require_own_moves

SECOND_US, DAY_US = 1_000_000, 86_400_000_000
START_US = 1_795_039_000_000_000  # 2026-11-18, 21:56:40 UTC
TEAMS = ("ads", "search", "")
ZONES = tuple(map(ZoneInfo, ("UTC", "Asia/Tokyo", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kolkata")))
BY = Operator("search/ops", "as invoiced")

team = st.sampled_from(TEAMS[:2])
admission = st.tuples(
    team,
    st.sampled_from((0, 1, 20, 30, 40, 40, 60, 120)),  # what is held
    st.sampled_from((0, 30, 90, 100, 110)),  # how many percent of it Cohere will bill
    st.sampled_from((0, 0, 0, 30)),  # by how much the limit was lower when the call began
)
admissions = st.lists(admission, min_size=1, max_size=4)
how = st.sampled_from(("settled", "settled", "corrected", "again", "forfeited", "left"))
ends = st.lists(st.tuples(st.integers(0, 99), how), min_size=1, max_size=4)
notes = st.lists(st.tuples(st.sampled_from(TEAMS), st.sampled_from(("", "BUDGET_SPENT"))), max_size=2)
fate = st.sampled_from(("kept", "kept", "kept", "lost", "kept untold", "lost untold"))
skew_us = st.sampled_from((0, 0, 0, 3 * SECOND_US, -3 * SECOND_US, 600 * SECOND_US, -600 * SECOND_US))
passed_us = st.sampled_from([seconds * SECOND_US for seconds in (*[0] * 8, 1, -1, -5, 1200, 40_000)])


class BooksMachine(RuleBasedStateMachine):
    """One writer; `both` are its databases, emptied for each history."""

    both: Lockstep
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.both.empty()
        self.both.set_clock(START_US)
        self.model = Model(START_US)
        self.writers = 0
        self.pen = self._fresh_pen()
        self.periods: dict[str, Period] = {}
        self.limits = dict.fromkeys(TEAMS, 100)
        self.zones = dict.fromkeys(TEAMS, ZONES[0])
        self.live: dict[Key, tuple[Admission, Admitted]] = {}
        self.truths: dict[Key, int] = {}
        """What Cohere bills for each attempt that was sent."""
        self.kept: list[Entry] = []
        self.repeatable: list[Entry] = []
        self.adjusts: list[tuple[str, int, str, Period | None]] = []
        self.tops: Counter[tuple[str, int]] = Counter()
        """The highest limit under which each day took a hold."""
        self.tables = self.both.tables()
        self.may_fall = False
        self.counts["histories"] += 1

    def commit(
        self, asked: Any, ended: Any, told: Any, fate: str, skew_us: int, passed_us: int, *, with_kept: bool
    ) -> None:
        self._set_clock(self.model.now_us + passed_us)
        entries: list[Entry] = []
        if with_kept:
            entries, self.kept = self.kept, []
        entries += self._ends(ended)
        for name, hold_nanos, truth_percent, less_nanos in asked:
            limit_nanos = max(0, self.limits[name] - less_nanos)
            entry = making.admission(name, hold_nanos, limit_nanos, zone=self.zones[name])
            self.truths[entry.call_id, 1] = hold_nanos * truth_percent // 100
            entries.append(entry)
        entries += [making.note(name, reason, zone=self.zones[name]) for name, reason in told]
        self._commit(entries, fate, skew_us)

    # Rules are drawn evenly, and this is what the books mostly do.
    commit_1 = commit_2 = commit_3 = commit_4 = rule(
        asked=admissions, ended=ends, told=notes, fate=fate, skew_us=skew_us, passed_us=passed_us,
        with_kept=st.booleans(),
    )(commit)  # fmt: skip

    @precondition(lambda self: self.repeatable)
    @rule(chosen=st.integers(0, 999), skew_us=skew_us)
    def repeat(self, chosen: int, skew_us: int) -> None:
        """I11."""
        entry = self.repeatable[chosen % len(self.repeatable)]
        before = self.tables
        self._write([entry], skew_us)
        self._look()
        if isinstance(entry, Admission | Note):  # it may open a day, to find that it has no room or is there already
            before = {**before, "budget": self.tables["budget"], "budget_period": self.tables["budget_period"]}
        assert self.tables == before

    @rule(
        name=team, nanos=st.sampled_from((-80, -10, -1, 1, 20, 80)), days=st.sampled_from((None, None, 0, -1, -2, 1)),
        again=st.sampled_from(("", "", "same", "other")), chosen=st.integers(0, 999),
    )  # fmt: skip
    def adjust(self, name: str, nanos: int, days: int | None, again: str, chosen: int) -> None:
        day = None if days is None else period_at(self.zones[name], self.model.now_us + days * DAY_US)
        adjust_id = f"adjust-{len(self.adjusts)}"
        if again and self.adjusts:
            known = self.adjusts[chosen % len(self.adjusts)]
            name, nanos, adjust_id, day = known if again == "same" else (name, nanos, known[2], day)
        else:
            self.adjusts.append((name, nanos, adjust_id, day))
        zone = self.zones[name]
        work = operations.adjustment(name, zone, nanos, adjust_id, BY, day)
        noon_us = None if day is None else (day.start_us + day.end_us) // 2
        self.may_fall = nanos < 0
        self._operate(work, lambda: self.model.adjust(name, zone, nanos, adjust_id, noon_us))

    @rule(name=team, frozen=st.booleans())
    def freeze(self, name: str, *, frozen: bool) -> None:
        zone = self.zones[name]
        work = operations.freeze(name, zone, BY, frozen=frozen)
        self._operate(work, lambda: self.model.freeze(name, zone, frozen=frozen))

    @rule(name=team, older_us=st.sampled_from((0, SECOND_US, 3600 * SECOND_US)))
    def forfeit(self, name: str, older_us: int) -> None:
        self._operate(forfeits.forfeit(name, older_us), lambda: self.model.forfeit(name, older_us))

    @rule(name=team, by_us=st.sampled_from((-1, 0, 1)))
    def come_to_midnight(self, name: str, by_us: int) -> None:
        now_us = self.model.now_us
        day = next((day for day in self.model.days[name] if now_us in day), period_at(self.zones[name], now_us))
        self._set_clock(day.end_us + by_us)

    @rule(name=team, limit_nanos=st.sampled_from((25, 60, 100, 250)))
    def set_limit(self, name: str, limit_nanos: int) -> None:
        self.limits[name] = limit_nanos

    @rule(name=team, zone=st.sampled_from(ZONES))
    def move_team(self, name: str, zone: ZoneInfo) -> None:
        self.zones[name] = zone

    @invariant()
    def the_books_are_sound(self) -> None:
        before = self.tables
        self._look()
        require_invariants(self.tables)  # I3, I4, I5, I12
        require_model(self.model, self.tables)
        require_bills(self.model, self.truths, self.tops)
        require_own_moves(before, self.tables, may_fall=self.may_fall)
        self.may_fall = False
        self.counts["steps"] += 1

    def teardown(self) -> None:
        """I6."""
        live = [(index, "settled") for index in range(len(self.live))]
        self._commit([*self.kept, *self._ends(live)], "kept", 0)
        self._look()
        require_invariants(self.tables)
        assert [row for row in self.tables["call_hold"] if row["state"] == "open"] == []
        assert [row for row in self.tables["call_hold"] if row["price_version"] and not row["has_outcome"]] == []

    def _ends(self, ended: Sequence[tuple[int, str]]) -> list[Entry]:
        chosen = {list(self.live)[index % len(self.live)]: how for index, how in ended if self.live}
        entries: list[Entry] = []
        for key, how in chosen.items():
            admission, admitted = self.live.pop(key)
            if how in {"settled", "corrected"}:
                units = Units(input_tokens=self.truths[key])
                entries.append(making.settlement(admission, admitted, self.truths[key], units=units))
                if how == "corrected":
                    entries.append(making.correction(admission))
            elif how == "forfeited":
                entries.append(making.settlement(admission, admitted, None, "forfeited", reason="COHERE_TIMED_OUT"))
            else:
                self.truths[key] = 0
                entries.append(admission.voided(admitted))
                if how == "again":
                    again = making.admission(
                        admission.team, admission.hold_nanos, self.limits[admission.team], call_id=admission.call_id,
                        attempt=admission.attempt + 1, zone=self.zones[admission.team],
                    )  # fmt: skip
                    self.truths[again.call_id, again.attempt] = again.hold_nanos // 2
                    entries.append(again)
        return entries

    def _commit(self, entries: Sequence[Entry], fate: str, skew_us: int) -> None:
        if not entries:
            return
        self.may_fall = True
        pen, periods, believed = self.pen, self.periods, dict(self.model.believed)
        if fate.startswith("lost"):
            model = copy.deepcopy(self.model)
            assert self.both.write(entries, pen, periods, model.now_us + skew_us, lost=True) is Lost
        else:
            self._take(entries, self._write(entries, skew_us), is_told=fate == "kept")
        if fate != "kept":
            self.kept += [entry for entry in entries if entry.is_kept]
        if fate.endswith("untold"):
            self.kept += [Withdrawal(entry.team, entry) for entry in entries if isinstance(entry, Admission)]
            self.pen, self.periods = self._fresh_pen(), periods
            self.model.at_us, self.model.believed = 0, believed

    def _write(self, entries: Sequence[Entry], skew_us: int) -> list[Told]:
        """A transaction that the databases keep, or that collides with an earlier one."""
        before = copy.deepcopy(self.model)
        now_us = self.model.now_us + skew_us
        ended = self.both.write(entries, self.pen, self.periods, now_us)
        try:
            expected = self.model.write(entries, now_us)
        except Collision:
            assert ended is Conflict
            self.model = before
            return []
        assert not isinstance(ended, type), ended
        told, written = ended
        assert written is not None
        assert told == expected
        assert ("missing",) not in told
        self._go_on(written)
        self.counts.update(what[0] for what in told)
        return told

    def _go_on(self, written: Written) -> None:
        self.pen, self.periods = written.pen, written.periods
        self.model.at_us = written.pen.at_us  # of the last record, if there was one

    def _take(self, entries: Sequence[Entry], told: Sequence[Told], *, is_told: bool) -> None:
        """Remembers what happened, and what of it may be repeated."""
        for entry, what in zip(entries, told, strict=True):
            if entry.is_kept:
                self.repeatable.append(entry)
            if not isinstance(entry, Admission):
                continue
            if what[0] == "admitted":
                self.repeatable.append(entry)
                day = (entry.team, what[1])
                self.tops[day] = max(self.tops[day], entry.limit_nanos)
                if is_told:
                    self.live[entry.call_id, entry.attempt] = (
                        entry,
                        Admitted(Period(what[1], what[2]), what[3], entry.hold_nanos),
                    )
        require_limits(self.model, entries, told)

    def _operate(self, work: Work, expected: Callable[[], Told]) -> None:
        before = copy.deepcopy(self.model)
        ended = self.both.write([work], self.pen, self.periods, self.model.now_us)
        assert not isinstance(ended, type), ended
        told, written = ended
        assert told == [expected()]
        if written is None:  # refused, and rolled back
            self.model = before
        else:
            self._go_on(written)

    def _set_clock(self, now_us: int) -> None:
        if now_us != self.model.now_us:
            self.model.now_us = now_us
            self.both.set_clock(now_us)

    def _look(self) -> None:
        self.tables = self.both.tables()

    def _fresh_pen(self) -> Pen:
        self.writers += 1
        return Pen(f"writer-{self.writers:04d}", 0, ROOT, 0)
