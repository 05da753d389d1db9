"""Random histories of the access keys of one database: made, rotated, revoked and expired in any order, and a model.

After each step three must agree with the model: the state that the list shows, whom a key lets in, and the count of
changes that tells the replicas.
"""

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.books.entries import Work
from service.books.errors import CredentialNotActive
from service.books.operations import Operator
from service.identity.access_key_registry import (
    Change,
    Revoked,
    Successor,
    create,
    revoke,
    rotate,
)
from service.identity.access_key_rows import NewAccessKey
from service.identity.access_keys import mint
from service.identity.identities import Identities
from service.identity.place import FIRST
from service.identity.refusals import CredentialRefused
from service.identity.seals import Seals
from service.identity.stored_access_keys import StoredAccessKey, list_access_keys
from service.storage.database import Transaction
from tests.identity.stopped_books import StoppedBooks

PEPPERS = {"1": b"p" * 32}
CHANGE = Change("platform/ada", Seals(PEPPERS))
HOUR_US = 3_600_000_000

lifetimes_us = st.sampled_from([1, HOUR_US, 24 * HOUR_US, *[365 * 24 * HOUR_US] * 3])
which = st.integers(0, 20)


@dataclass(frozen=True)
class Known:
    """What the model knows of a key."""

    access_key: str
    team: str
    lifetime_us: int
    expires_at_us: int
    grant_expires_at_us: int
    revoked: bool = False
    replaced_by: str = ""

    def state(self, now_us: int) -> str:
        if self.revoked:
            return "REVOKED"
        if now_us >= self.expires_at_us:
            return "EXPIRED"
        return "REPLACED" if self.replaced_by else "ACTIVE"


class KeyMachine(RuleBasedStateMachine):
    """One history, on an emptied database whose clock stands still between the steps."""

    stopped: StoppedBooks
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.run, self.books = self.stopped.run, self.stopped.books
        self.keys: dict[str, Known] = {}
        self.stopped.begin_anew()
        self.run(self.books.change(Work("", _emptied)))
        self.first_version = self._version()
        self.identities = Identities(self.books, lambda: None)
        self.identities.take_over("test", PEPPERS)
        self.changes = 0

    @property
    def now_us(self) -> int:
        return self.stopped.now_us

    @rule(team=st.sampled_from(["ads", "search"]), lifetime_us=lifetimes_us)
    def make(self, team: str, lifetime_us: int) -> None:
        minted = mint("test", PEPPERS, "1")
        new = NewAccessKey(
            minted.id, minted.digest, minted.pepper_version, team, "app", frozenset({"chat"}), self.now_us + lifetime_us
        )
        stored: StoredAccessKey = self.run(self.books.change(create(new, CHANGE)))
        ends_us = self.now_us + lifetime_us
        self.keys[minted.id] = Known(minted.access_key, team, lifetime_us, ends_us, ends_us)
        assert stored.state == "ACTIVE"
        self._done("made")

    @precondition(lambda self: self.keys)
    @rule(number=which, overlap_us=st.sampled_from([0, 1, HOUR_US, 720 * HOUR_US]), is_granted=st.booleans())
    def rotate(self, number: int, overlap_us: int, is_granted: bool) -> None:  # noqa: FBT001 (drawn)
        key_id, known = self._pick(number)
        minted = mint("test", PEPPERS, "1")
        work = rotate(key_id, Successor(minted, None, is_granted=is_granted), overlap_us, CHANGE)
        state = known.state(self.now_us)
        if state != "ACTIVE":
            with pytest.raises(CredentialNotActive) as refused:
                self.run(self.books.change(work))
            assert refused.value.state == state
            self.counts["not rotated"] += 1
            return
        self.run(self.books.change(work))
        ends_us = min(known.expires_at_us, self.now_us + overlap_us)
        self.keys[key_id] = replace(known, expires_at_us=ends_us, replaced_by=minted.id)
        new_ends_us = self.now_us + known.lifetime_us
        if not is_granted:
            new_ends_us = min(new_ends_us, known.grant_expires_at_us)
        granted_us = new_ends_us if is_granted else known.grant_expires_at_us
        lifetime_us = new_ends_us - self.now_us
        self.keys[minted.id] = Known(minted.access_key, known.team, lifetime_us, new_ends_us, granted_us)
        self._done("rotated")

    @precondition(lambda self: self.keys)
    @rule(number=which, with_successors=st.booleans())
    def revoke(self, number: int, with_successors: bool) -> None:  # noqa: FBT001 (drawn)
        key_id, _ = self._pick(number)
        work = revoke(key_id, Operator("platform/ada", ""), with_successors=with_successors)
        revoked: Revoked = self.run(self.books.change(work))
        line = self._line(key_id)
        assert [revoked.key.id, *(key.id for key in revoked.successors)] == line
        assert revoked.key.state == "REVOKED"
        ended = [each for each in (line if with_successors else line[:1]) if not self.keys[each].revoked]
        for each in ended:
            self.keys[each] = replace(self.keys[each], revoked=True)
        if ended:
            self._done("revoked")

    @rule(by_us=st.sampled_from([1, 1, HOUR_US // 2, HOUR_US, 25 * HOUR_US, 366 * 24 * HOUR_US]))
    def time_passes(self, by_us: int) -> None:
        self.stopped.pass_time(by_us)
        self.counts["passed"] += 1

    @invariant()
    def list_access_and_count_agree_with_the_model(self) -> None:
        page = self.run(self.books.read(lambda tx: list_access_keys(tx, "", "", 1000, FIRST)))
        states = {key_id: known.state(self.now_us) for key_id, known in self.keys.items()}
        assert {key.id: key.state for key in page.keys} == states
        assert {key.id: (key.expires_at_us, key.grant_expires_at_us, key.replaced_by) for key in page.keys} == {
            key_id: (known.expires_at_us, known.grant_expires_at_us, known.replaced_by)
            for key_id, known in self.keys.items()
        }
        assert self._version() == self.first_version + self.changes
        self.run(self.identities.refresh())
        for key_id, known in self.keys.items():
            assert self._is_let_in(known) == (states[key_id] in {"ACTIVE", "REPLACED"})

    def _is_let_in(self, known: Known) -> bool:
        try:
            self.identities.access_keys.principal_of(known.access_key, self.now_us / 1e6)
        except CredentialRefused:
            return False
        return True

    def _version(self) -> int:
        ((version,),) = self.run(self.books.read(lambda tx: tx.fetch("SELECT version FROM identity_version")))
        return int(version)

    def _line(self, key_id: str) -> list[str]:
        """A key, and what took its place."""
        line = [key_id]
        while successor := self.keys[line[-1]].replaced_by:
            line.append(successor)
        return line

    def _pick(self, number: int) -> tuple[str, Known]:
        return list(self.keys.items())[number % len(self.keys)]

    def _done(self, what: str) -> None:
        self.counts[what] += 1
        self.changes += 1


async def _emptied(tx: Transaction) -> tuple[None, None]:
    await tx.fetch("DELETE FROM access_key")
    return None, None
