"""Histories that nobody would think of, on SQLite and PostgreSQL in lockstep and against a model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.books.lockstep import Lockstep
from tests.books.machine import BooksMachine


@pytest.fixture
def both(tmp_path: Path, postgres_url: str) -> Iterator[Lockstep]:
    lockstep = Lockstep(tmp_path, postgres_url)
    yield lockstep
    lockstep.close()


def explore(lockstep: Lockstep, histories: int, steps: int, *phases: Phase) -> None:
    class Machine(BooksMachine):
        both = lockstep

    BooksMachine.counts.clear()
    asked = settings(
        max_examples=histories,
        stateful_step_count=steps,
        phases=(Phase.generate, *phases),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Machine, settings=asked)
    counts = dict(BooksMachine.counts.most_common())
    print(f"{lockstep.transactions} transactions on each engine: {counts}")


@pytest.mark.slow
def test_no_history_breaks_the_books(both: Lockstep) -> None:
    explore(both, 20, 40)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_no_long_history_breaks_the_books(both: Lockstep) -> None:
    explore(both, 600, 60, Phase.shrink)
