"""I12: whatever happened, and whatever is asked, a report equals the sum of the records, on both databases."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.books.period import Period
from service.books.usage_report import Dimension, UsageRow, Wanted
from tests.usage.brute import NOTHING_ASKED, Trail, figured, summed_up
from tests.usage.history import DAY_US, QUARTER_US, STARTS_US, TEAMS, History, Reading, histories

ONE_MORE_THAN_ANY = 10_000
QUESTIONS = 12
FINDING = (Phase.explicit, Phase.reuse, Phase.generate)  # making a failure small takes minutes

names = st.frozensets(st.sampled_from(("team", "endpoint", "model", "credential")))
time = st.sampled_from((frozenset(), frozenset({"day"}), frozenset({"hour"})))
questions = st.tuples(
    st.sampled_from((None, *TEAMS[:2])), st.integers(0, 999), st.integers(0, 999), names, time, st.integers(1, 3)
)


@pytest.fixture
def both(tmp_path: Path, postgres_url: str) -> Iterator[Reading]:
    reading = Reading(tmp_path, postgres_url)
    yield reading
    reading.close()


def bounds_of(history: History, trail: Trail) -> list[int]:
    """Where windows begin and end: at days' bounds, and at quarter hours beside what happened."""
    bounds = {start_us for _, start_us in trail.day_ends} | set(trail.day_ends.values())
    times = {at_us for *_, at_us, _ in trail.records}
    bounds |= {at_us - at_us % QUARTER_US + by_us for at_us in times for by_us in (-QUARTER_US, 0, QUARTER_US)}
    bounds |= {history.start_us - history.start_us % QUARTER_US - 3 * DAY_US, max(bounds, default=0) + 3 * DAY_US}
    return sorted(bounds)


def wanted_of(question: Any, bounds: list[int]) -> Wanted:
    """Half of the windows are random ones; the others begin or end where everything does."""
    team, one, other, by, of_time, _ = question
    first, last = sorted((one % len(bounds), other % len(bounds)))
    first = 0 if one % 4 == 0 else first
    last = len(bounds) - 1 if first == last or one % 4 == 1 else last
    first = min(first, last - 1)
    dimensions: frozenset[Dimension] = by | of_time
    return Wanted(team, Period(bounds[first], bounds[last]), dimensions)


def pages_of(history: History, wanted: Wanted, rows_max: int) -> tuple[Any, list[UsageRow]]:
    """The rows of all pages, and what each of them says that the total is."""
    totals, rows = [], list[UsageRow]()
    while True:
        page = history.report(wanted, rows_max, len(rows))
        totals.append(figured(page.total))
        rows += page.rows
        if not page.has_more:
            break
        assert len(page.rows) == rows_max
    assert [totals[0]] * len(totals) == totals
    return totals[0], rows


def require_equal(history: History, trail: Trail, question: Any, counts: Counter[str]) -> None:
    wanted = wanted_of(question, bounds_of(history, trail))
    total, rows = summed_up(trail, wanted)
    told_total, told = pages_of(history, wanted, ONE_MORE_THAN_ANY)
    assert told_total == total
    assert {tuple(row.key): figured(row.figures) for row in told} == rows
    assert len(told) == len(rows)
    costs = [row.figures.cost_nanos for row in told]
    assert costs == sorted(costs, reverse=True)
    if 0 < len(rows) <= 30:
        assert pages_of(history, wanted, question[-1]) == (total, told)
    counts["reports"] += 1
    counts["rows"] += len(rows)
    counts["reports of nothing"] += rows in ({}, {NOTHING_ASKED: {}})
    for what in ("open", "forfeited", "failure CANCELLED"):
        counts[f"reports with {what}"] += what in total
    counts["reports that cut a day"] += any(
        start_us < at_us < end_us
        for (_, start_us), end_us in trail.day_ends.items()
        for at_us in (wanted.window.start_us, wanted.window.end_us)
    )


def explore(both: Reading, examples: int, phases: Sequence[Phase]) -> None:
    counts: Counter[str] = Counter()

    @settings(
        max_examples=examples, phases=phases, print_blob=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(STARTS_US), histories, st.lists(questions, min_size=QUESTIONS, max_size=QUESTIONS))
    def equal(start_us: int, happened: list[Any], asked: list[Any]) -> None:
        history = History(both, start_us)
        history.run(happened)
        trail = history.trail()
        for question in asked:
            require_equal(history, trail, question, counts)
        assert history.standings() == {name: history.standing(name) for name in TEAMS}
        counts["budgets held"] += sum(held.held_nanos > 0 for held in history.standings().values())
        counts["budgets frozen"] += sum(held.standing.frozen_at_us > 0 for held in history.standings().values())

    equal()
    print(f"{dict(counts)}, each on two databases")
    assert min(counts[f"reports {what}"] for what in ("with open", "with forfeited", "that cut a day")) > 0


@pytest.mark.slow
def test_a_report_equals_the_sum_of_the_records(both: Reading) -> None:
    explore(both, 20, FINDING)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_reports_of_long_histories_equal_the_sum_of_the_records(both: Reading) -> None:
    explore(both, 600, (*FINDING, Phase.shrink))
