"""The steps of a rotation: whatever is tried in whatever order, what has to hold of a team's keys holds."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from service.books.errors import RotationUnderWay
from service.rotation import machine
from service.rotation.history import Cause, History, State
from service.rotation.machine import LEASE_US, Asked, Found, Overtaken
from tests.rotation.key_history import CALL_US_MAX, START_US, KeyHistoryMachine

DAY_US = 86_400_000_000
OLD, NEW = Found(b"old", "file:key", "1", "org"), Found(b"new", "file:key", "2")


OFTEN = {"stage", "verify", "make_current", "Overtaken", "RotationUnderWay"}
SELDOM = {"adopt", "refuse", "claim", "fail", "roll_back", "retire", "destroy"}


def explore(histories: int, steps: int, made: set[str]) -> None:
    KeyHistoryMachine.counts.clear()
    asked = settings(
        max_examples=histories,
        stateful_step_count=steps,
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(KeyHistoryMachine, settings=asked)
    print(dict(KeyHistoryMachine.counts.most_common()))
    assert made <= KeyHistoryMachine.counts.keys() <= OFTEN | SELDOM


def asked(number: int = 1, *, by: str = "platform/ada", holder: str = "a", overlap_us: int = DAY_US) -> Asked:
    return Asked(f"rotation{number}", by, overlap_us, holder)


def adopted() -> History:
    return machine.adopt(History("search"), OLD, START_US).history


def rotated(history: History, found: Found = NEW, number: int = 1, *, overlap_us: int = DAY_US) -> History:
    rotation = asked(number, overlap_us=overlap_us)
    history = machine.stage(history, found, rotation, START_US).history
    history = machine.verify(history, rotation.id, "a", "org", START_US).history
    return machine.make_current(history, rotation.id, "a", START_US).history


def states(history: History) -> list[State]:
    return [each.state for each in history.versions]


def test_no_order_of_steps_breaks_what_holds_of_a_teams_keys() -> None:
    explore(150, 50, OFTEN)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_no_long_order_of_steps_breaks_what_holds_of_a_teams_keys() -> None:
    explore(5_000, 100, OFTEN | SELDOM)


def test_a_rotation_goes_its_whole_way() -> None:
    history = rotated(adopted())
    assert states(history) == [State.PREVIOUS, State.CURRENT]

    history = machine.retire(history, "rotation1", START_US + DAY_US).history
    assert states(history) == [State.RETIRED, State.CURRENT]

    history = machine.destroy(history, "rotation1", CALL_US_MAX, START_US + DAY_US + CALL_US_MAX).history
    assert states(history) == [State.DESTROYED, State.CURRENT]
    assert history.rotations[0].state is State.DESTROYED


def test_what_previous_survives_is_rolled_back() -> None:
    change = machine.roll_back(rotated(adopted()), 2, Cause.KEY_REJECTED, "refused", START_US + 1)

    assert states(change.history) == [State.CURRENT, State.ROLLED_BACK]
    assert change.history.rotations[0].state is State.ROLLED_BACK
    assert [each["event"] for each in change.notices] == ["cohere_key_rolled_back"]


def test_nothing_is_rolled_back_to_a_version_whose_overlap_is_over() -> None:
    with pytest.raises(Overtaken):
        machine.roll_back(rotated(adopted()), 2, Cause.KEY_REJECTED, "refused", START_US + DAY_US)


def test_a_rotation_without_overlap_has_nothing_to_fall_back_on() -> None:
    history = rotated(adopted(), overlap_us=0)

    assert history.fallback(START_US) is None
    with pytest.raises(Overtaken):
        machine.roll_back(history, 2, Cause.KEY_REJECTED, "refused", START_US)


def test_a_later_rotation_retires_the_previous_of_the_one_before() -> None:
    history = rotated(adopted())
    third = Found(b"third", "file:key")

    history = rotated(history, third, 2)

    assert states(history) == [State.RETIRED, State.PREVIOUS, State.CURRENT]
    assert [each.state for each in history.rotations] == [State.RETIRED, State.CURRENT]


def test_who_asked_keeps_others_from_beginning_another_rotation() -> None:
    history = machine.stage(adopted(), NEW, asked(1), START_US).history

    with pytest.raises(RotationUnderWay) as refused:
        machine.stage(history, Found(b"other", "file:key"), asked(2), START_US + 1)
    assert refused.value.rotation_id == "rotation1"


def test_what_nobody_asked_for_makes_room() -> None:
    history = machine.stage(adopted(), NEW, asked(1, by=machine.AUTOMATIC), START_US).history

    change = machine.stage(history, Found(b"other", "file:key"), asked(2), START_US + 1)

    assert [each.cause for each in change.history.rotations] == [Cause.SUPERSEDED, None]
    assert [each["event"] for each in change.notices] == ["cohere_key_failed", "cohere_key_staged"]


def test_replicas_whose_sources_differ_do_not_end_each_others_rotations() -> None:
    history = machine.stage(adopted(), NEW, asked(1, by=machine.AUTOMATIC, holder="a"), START_US).history
    other = Found(b"other", "env:KEY")

    with pytest.raises(RotationUnderWay):
        machine.stage(history, other, asked(2, by=machine.AUTOMATIC, holder="b"), START_US)
    changed = machine.stage(history, other, asked(2, by=machine.AUTOMATIC, holder="a"), START_US)
    assert [each.cause for each in changed.history.rotations] == [Cause.SUPERSEDED, None]


def test_only_who_holds_a_rotation_moves_it_until_the_lease_is_over() -> None:
    history = machine.stage(adopted(), NEW, asked(holder="a"), START_US).history

    with pytest.raises(Overtaken):
        machine.verify(history, "rotation1", "b", "org", START_US)
    with pytest.raises(Overtaken):
        machine.claim(history, "rotation1", "b", START_US + LEASE_US - 1)
    history = machine.claim(history, "rotation1", "b", START_US + LEASE_US).history
    with pytest.raises(Overtaken):
        machine.verify(history, "rotation1", "a", "org", START_US + LEASE_US)
    assert states(machine.verify(history, "rotation1", "b", "org", START_US + LEASE_US).history)[-1] is State.VERIFIED


def test_without_an_overlap_nothing_is_fallen_back_on_by_a_clock_that_is_behind() -> None:
    history = rotated(adopted(), overlap_us=0)

    assert history.previous is not None
    assert history.fallback(START_US - 1) is None
