"""Whatever happens to access keys in whatever order: state, access and list agree with a model, on both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.identity.key_machine import KeyMachine
from tests.identity.stopped_books import StoppedBooks


@pytest.fixture(params=["sqlite", "postgres"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoppedBooks]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    opened = StoppedBooks(tmp_path, url)
    yield opened
    opened.close()


def explore(books: StoppedBooks, histories: int, steps: int, *phases: Phase) -> None:
    class Machine(KeyMachine):
        stopped = books

    KeyMachine.counts.clear()
    asked = settings(
        max_examples=histories,
        stateful_step_count=steps,
        phases=(Phase.generate, *phases),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Machine, settings=asked)
    counts = dict(KeyMachine.counts.most_common())
    print(f"{sum(counts.values())} steps: {counts}")
    assert set(counts) == {"made", "rotated", "not rotated", "revoked", "passed"}


def test_no_history_of_a_key_breaks_what_is_known_of_it(books: StoppedBooks) -> None:
    explore(books, 25, 30)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_no_long_history_of_a_key_breaks_what_is_known_of_it(books: StoppedBooks) -> None:
    explore(books, 500, 60, Phase.shrink)
