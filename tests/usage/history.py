"""What may happen to the books, as Hypothesis draws it, carried out on SQLite and PostgreSQL in lockstep."""

from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from service.books import forfeits, ledger, operations
from service.books.entries import Admission, Admitted, Entry
from service.books.operations import Held, Operator
from service.books.period import Period, period_at
from service.books.standings import standings
from service.books.trail import fresh_pen
from service.books.usage import Units
from service.books.usage_report import Wanted, sum_up
from service.storage.database import Transaction, Work
from tests.books.lockstep import Lockstep
from tests.usage import entries
from tests.usage.brute import Page, Trail, page_of, trail_of
from tests.usage.entries import Names

T = TypeVar("T")

SECOND_US, QUARTER_US, DAY_US = 1_000_000, 900_000_000, 86_400_000_000
STARTS_US = (
    1_790_970_000_000_000,  # 2026-10-02: two days before the clocks change on Lord Howe, by half an hour
    1_792_770_300_000_000,  # 2026-10-23: two days before they go back in Zurich
    1_774_640_700_000_000,  # 2026-03-27: two days before they go forward there
)
TEAMS = ("ads", "search", "")
ZONES = tuple(
    map(
        ZoneInfo,
        ("UTC", "Europe/Zurich", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"),
    )
)
NAMES = (
    Names(),
    Names(credential_id="key-2"),
    Names("embed", "embed-v4.0"),
    Names("rerank", "rerank-v4.0", "key-2"),
)
REASONS = ("", "", "COHERE_UNAVAILABLE", "CANCELLED")

team = st.sampled_from(TEAMS)
paying = st.sampled_from(TEAMS[:2])
names = st.sampled_from(NAMES)
nanos = st.integers(0, 10**9)
attempt = st.tuples(st.just("admit"), paying, names, nanos)
end = st.tuples(
    st.just("end"), st.integers(0, 99), st.sampled_from(("settled", "settled", "settled", "forfeited", "void")), nanos,
    st.sampled_from(REASONS), st.booleans(),
)  # fmt: skip
listed_as = st.sampled_from((Names("", "", ""), Names("", "", "key-1"), *NAMES))
told = st.sampled_from(
    (
        {"": 1},
        {"BUDGET_SPENT": 1},
        {"CREDENTIAL_REJECTED": 7},
        {"": -1, "CANCELLED": 1},
        {"COHERE_TIMED_OUT": 1, "A": 2},
    )
)
refusal = st.tuples(st.just("note"), team, listed_as, told)
batch = st.tuples(st.just("batch"), st.lists(st.one_of(attempt, attempt, end, end, refusal), min_size=2, max_size=8))
move = st.tuples(
    st.just("move"),
    st.sampled_from((SECOND_US, 300 * SECOND_US, QUARTER_US, 3_600 * SECOND_US, 19_800 * SECOND_US, DAY_US)),
)
midnight = st.tuples(st.just("midnight"), st.sampled_from(ZONES), st.sampled_from((-1, 0, 1)))
zone = st.tuples(st.just("zone"), paying, st.sampled_from(ZONES))
freeze = st.tuples(st.just("freeze"), paying, st.sampled_from((False, False, True)))
forfeit = st.tuples(st.just("forfeit"), paying)
skew = st.tuples(st.just("skew"), st.sampled_from((0, 2 * SECOND_US, -2 * SECOND_US, QUARTER_US, -QUARTER_US)))

histories = st.lists(
    st.one_of(batch, batch, batch, batch, batch, move, move, midnight, zone, forfeit, freeze, skew),
    min_size=25,
    max_size=50,
)


class Reading(Lockstep):
    """Both databases, also read."""

    def read(self, work: Work[T]) -> T:
        """What both tell."""
        one, other = (self._run(database.read(work)) for database in self._databases)
        assert one == other
        result: T = one
        return result


class History:
    """One writer on both databases.

    Args:
        both: Emptied here.
        start_us: When it begins.
    """

    def __init__(self, both: Reading, start_us: int) -> None:
        self._both = both
        both.empty()
        self.now_us = self.start_us = start_us
        both.set_clock(start_us)
        self._skew_us = 0
        self._pen = fresh_pen()
        self._periods: dict[str, Period] = {}
        self.zones = dict.fromkeys(TEAMS, ZONES[0])
        self._open: list[tuple[Admission, Admitted]] = []

    def run(self, happened: list[Any]) -> None:
        """Lets all of it happen."""
        for what, *how in happened:
            getattr(self, f"_{what}")(*how)

    def report(self, wanted: Wanted, rows_max: int, after: int) -> Page:
        """One page, the same from both."""

        async def page(tx: Transaction) -> Page:
            return page_of(await sum_up(tx, wanted, rows_max, after), wanted, after)

        return self._both.read(page)

    def trail(self) -> Trail:
        """What is on record, the same in both."""

        async def in_order(tx: Transaction) -> Trail:
            trail = await trail_of(tx)
            return Trail(sorted(trail.records, key=repr), trail.day_ends)

        return self._both.read(in_order)

    def standings(self) -> dict[str, Held]:
        """Every budget, looked at together."""
        return self._both.read(lambda tx: standings(tx, self.zones))

    def standing(self, name: str) -> Held:
        """One budget, looked at as the committer does."""

        async def look(tx: Transaction) -> Held:
            now = await ledger.standing(tx, name, self.zones[name])
            return Held(now, await ledger.held(tx, name, now.period.start_us))

        return self._both.read(look)

    def _batch(self, asked: list[Any]) -> None:
        written = [entry for each in asked if (entry := self._entry(*each)) is not None]
        self._write(written)

    def _entry(self, what: str, *how: Any) -> Entry | None:
        if what == "admit":
            name, listed_as, hold_nanos = how
            return entries.admission(name, listed_as, hold_nanos, zone=self.zones[name])
        if what == "note":
            name, listed_as, counts = how
            return entries.note(name, listed_as, counts, zone=self.zones[name])
        if not self._open:
            return None
        chosen, state, charge_nanos, reason, last = how
        held, admitted = self._open.pop(chosen % len(self._open))
        if state == "void":
            return held.voided(admitted)
        charge = None if state == "forfeited" else charge_nanos
        units = Units(input_tokens=charge_nanos % 1000, search_units=charge_nanos % 7, pages=charge_nanos % 3)
        return entries.settlement(held, admitted, charge, state, last=last, reason=reason, units=units)

    def _write(self, written: list[Entry]) -> None:
        if not written:
            return
        ended = self._both.write(written, self._pen, self._periods, self.now_us + self._skew_us)
        assert isinstance(ended, tuple)
        told, after = ended
        assert after is not None
        self._pen, self._periods = after.pen, after.periods
        for entry, (what, *how) in zip(written, told, strict=True):
            if what == "admitted":
                assert isinstance(entry, Admission)
                self._open.append((entry, Admitted(Period(how[0], how[1]), how[2], entry.hold_nanos)))

    def _move(self, by_us: int) -> None:
        self.now_us += by_us
        self._both.set_clock(self.now_us)

    def _midnight(self, where: ZoneInfo, by_us: int) -> None:
        self._move(max(0, period_at(where, self.now_us).end_us + by_us - self.now_us))

    def _zone(self, name: str, where: ZoneInfo) -> None:
        self.zones[name] = where

    def _freeze(self, name: str, frozen: bool) -> None:  # noqa: FBT001 (drawn with its name)
        self._write([operations.freeze(name, self.zones[name], Operator("ops", ""), frozen=frozen)])

    def _forfeit(self, name: str) -> None:
        self._write([forfeits.forfeit(name, 3_600 * SECOND_US)])

    def _skew(self, by_us: int) -> None:
        self._skew_us = by_us
