"""Random histories of one team's keys: any step at any time, and what has to hold of it, reckoned another way.

The model knows nothing of steps: it follows which version is in use as a list of moves, and holds the history, the
notices and what is due against it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.books.errors import RotationUnderWay
from service.rotation import machine
from service.rotation.deciding import due
from service.rotation.history import Cause, History, State
from service.rotation.machine import LEASE_US, Asked, Change, Found, Overtaken

START_US = 1_795_039_000_000_000
CALL_US_MAX = 1_000_000_000
HOLDERS = ["a", "a", "a", "b"]
which = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 5])
"""How long ago a rotation began, in rotations."""
OVER = {State.RETIRED, State.DESTROYED, State.ROLLED_BACK, State.FAILED}

_MOVES: dict[State | None, set[State]] = {
    None: {State.STAGED, State.FAILED, State.CURRENT},
    State.STAGED: {State.VERIFIED, State.FAILED},
    State.VERIFIED: {State.CURRENT, State.FAILED},
    State.CURRENT: {State.PREVIOUS, State.RETIRED, State.ROLLED_BACK},
    State.PREVIOUS: {State.CURRENT, State.RETIRED},
    State.RETIRED: {State.DESTROYED},
    State.DESTROYED: set(),
    State.ROLLED_BACK: set(),
    State.FAILED: set(),
}
"""Of a version or a rotation: what it may become from what, and nothing else ever."""


class Keeper(Protocol):
    """Keeps a history: in memory, or in a database."""

    def apply(self, name: str, *arguments: Any) -> list[dict[str, Any]]:
        """Makes a step of `machine`, *arguments* without the history and the time; the notices.

        Raises:
            Overtaken, RotationUnderWay: As the step.
        """

    @property
    def history(self) -> History: ...

    @property
    def now_us(self) -> int: ...

    def pass_time(self, by_us: int) -> None: ...


class InMemory:
    """A history that nobody else has."""

    def __init__(self) -> None:
        self.history = History("search")
        self.now_us = START_US

    def apply(self, name: str, *arguments: Any) -> list[dict[str, Any]]:
        timed = () if name == "learn" else (self.now_us,)
        change: Change = getattr(machine, name)(self.history, *arguments, *timed)
        self.history = change.history
        return change.notices

    def pass_time(self, by_us: int) -> None:
        self.now_us += by_us


@dataclass
class Moved:
    """What became of one version or rotation."""

    states: list[State]


class KeyHistoryMachine(RuleBasedStateMachine):
    """One history."""

    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.keeper = self.fresh_keeper()
        self.ids = 0
        self.versions: dict[int, Moved] = {}
        self.rotations: dict[str, Moved] = {}
        self.in_use: list[int] = []
        """The line of versions that were in use, without those that were rolled back."""

    def fresh_keeper(self) -> Keeper:
        return InMemory()

    @rule(value=st.binary(min_size=1, max_size=1))
    def adopt(self, value: bytes) -> None:
        if self._step("adopt", Found(value, "env:KEY", "", "org")):
            self.in_use.append(self.keeper.history.versions[-1].version)

    @rule(
        value=st.binary(min_size=1, max_size=1),
        overlap_us=st.sampled_from([0, 1_000_000, 86_400_000_000]),
        holder=st.sampled_from(HOLDERS),
        by=st.sampled_from([machine.AUTOMATIC, "platform/ada"]),
    )
    def stage(self, value: bytes, overlap_us: int, holder: str, by: str) -> None:
        self.ids += 1
        asked = Asked(f"rotation{self.ids:04}", by, overlap_us, holder, request_id=f"request{self.ids}")
        self._step("stage", Found(value, "env:KEY"), asked)

    @precondition(lambda self: len(self.rotations) % 3 == 1)
    @rule(holder=st.sampled_from(HOLDERS))
    def refuse(self, holder: str) -> None:
        self.ids += 1
        asked = Asked(f"rotation{self.ids:04}", "platform/ada", 0, holder)
        self._step("refuse", asked, Cause.KEY_NOT_SET, "env:KEY: not set")

    @precondition(lambda self: self.rotations)
    @rule(number=which, holder=st.sampled_from(HOLDERS))
    def claim(self, number: int, holder: str) -> None:
        self._step("claim", self._rotation(number), holder)

    @precondition(lambda self: self.rotations)
    @rule(number=which, holder=st.sampled_from(HOLDERS))
    def verify(self, number: int, holder: str) -> None:
        self._step("verify", self._rotation(number), holder, "org")

    @precondition(lambda self: self.rotations)
    @rule(number=which, holder=st.sampled_from(HOLDERS))
    def make_current(self, number: int, holder: str) -> None:
        self._make_current(self._rotation(number), holder)

    def _make_current(self, rotation_id: str, holder: str) -> None:
        if self._step("make_current", rotation_id, holder):
            rotation = self.keeper.history.rotation(rotation_id)
            assert rotation is not None
            assert rotation.version is not None
            assert rotation.previous_version == (self.in_use[-1] if self.in_use else None)
            self.in_use.append(rotation.version)

    @rule()
    def carry_through(self) -> None:
        under_way = self.keeper.history.open
        if under_way is not None:
            if under_way.state is State.STAGED:
                self._step("verify", under_way.id, under_way.lease_holder, "org")
            self._make_current(under_way.id, under_way.lease_holder)

    @precondition(lambda self: self.rotations)
    @rule(number=which, holder=st.sampled_from(HOLDERS))
    def fail(self, number: int, holder: str) -> None:
        self._step("fail", self._rotation(number), holder, Cause.KEY_REJECTED, "refused")

    @precondition(lambda self: self.versions)
    @rule(behind=st.sampled_from([0, 0, 0, 1, 2]))
    def roll_back(self, behind: int) -> None:
        version = max(self.versions) - behind
        before = self.keeper.history
        if self._step("roll_back", version, Cause.KEY_REJECTED, "refused"):
            assert before.previous is not None
            self.in_use.pop()
            assert self.keeper.history.current is not None
            assert self.keeper.history.current.version == before.previous.version == self.in_use[-1]

    @precondition(lambda self: self.rotations)
    @rule(number=which)
    def retire(self, number: int) -> None:
        self._step("retire", self._rotation(number))

    @precondition(lambda self: self.rotations)
    @rule(number=which)
    def destroy(self, number: int) -> None:
        self._step("destroy", self._rotation(number), CALL_US_MAX)

    @precondition(lambda self: self.rotations)
    @rule()
    def do_what_is_due(self) -> None:
        for to, rotation_id in due(self.keeper.history, CALL_US_MAX, self.keeper.now_us):
            if to is State.RETIRED:
                assert self._step("retire", rotation_id)
            elif to is State.DESTROYED:
                assert self._step("destroy", rotation_id, CALL_US_MAX)
            else:
                assert self._step("claim", rotation_id, "a")
        assert due(self.keeper.history, CALL_US_MAX, self.keeper.now_us) == []

    @rule(by_us=st.sampled_from([1, LEASE_US - 1, LEASE_US, CALL_US_MAX, 86_400_000_000]))
    def time_passes(self, by_us: int) -> None:
        self.keeper.pass_time(by_us)

    @invariant()
    def what_is_in_use_is_one_and_what_is_kept_is_the_one_before(self) -> None:
        history = self.keeper.history
        current = [each.version for each in history.versions if each.state is State.CURRENT]
        previous = [each.version for each in history.versions if each.state is State.PREVIOUS]
        assert current == self.in_use[-1:]
        assert previous in ([], self.in_use[-2:-1])
        assert sum(each.is_open for each in history.rotations) <= 1
        assert [each.version for each in history.versions] == list(range(1, len(history.versions) + 1))
        for rotation in history.rotations:
            version = history.version(rotation.version)
            if rotation.is_open:
                assert version is not None
                assert version.state is rotation.state
            if rotation.state in {State.FAILED, State.ROLLED_BACK}:
                assert rotation.cause is not None
                assert version is None or version.state is rotation.state

    def _rotation(self, number: int) -> str:
        return list(self.rotations)[-1 - number % len(self.rotations)]

    def _step(self, name: str, *arguments: Any) -> bool:
        """Makes a step, and holds what it did against what may become of what; False if it was not allowed."""
        before = self.keeper.history
        try:
            notices = self.keeper.apply(name, *arguments)
        except (Overtaken, RotationUnderWay) as refused:
            assert self.keeper.history == before
            self.counts[type(refused).__name__] += 1
            return False
        self.counts[name] += 1
        history, moves = self.keeper.history, 0
        for version in history.versions:
            self._follow(self.versions, version.version, version.state)
        for rotation in history.rotations:
            moves += self._follow(self.rotations, rotation.id, rotation.state)
        assert len(notices) == (1 if name == "adopt" else moves)
        assert all(each["event"].startswith("cohere_key_") for each in notices)
        return True

    @staticmethod
    def _follow(known: dict[Any, Moved], key: Any, state: State) -> bool:
        """Keeps where something stands now; True if it moved."""
        moved = known.get(key)
        if moved is None:
            assert state in _MOVES[None]
            known[key] = Moved([state])
            return True
        if moved.states[-1] is state:
            return False
        assert state in _MOVES[moved.states[-1]], f"{key}: {moved.states} → {state}"
        moved.states.append(state)
        return True
