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
    StoredAccessKey,
    Successor,
    create,
    list_access_keys,
    revoke,
    rotate,
)
from service.identity.access_key_rows import NewAccessKey
from service.identity.access_keys import mint
from service.identity.identities import Identities
from service.identity.place import FIRST
from service.identity.refusals import CredentialRefused
from service.storage.database import Transaction
from tests.identity.stopped_books import StoppedBooks

PEPPERS = {"1": b"p" * 32}
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
        minted = mint("test", PEPPERS)
        new = NewAccessKey(
            minted.id, minted.digest, minted.pepper_version, team, "app", frozenset({"chat"}), self.now_us + lifetime_us
        )
        stored: StoredAccessKey = self.run(self.books.change(create(new, "platform/ada")))
        self.keys[minted.id] = Known(minted.access_key, team, lifetime_us, self.now_us + lifetime_us)
        assert stored.state == "ACTIVE"
        self._done("made")

    @precondition(lambda self: self.keys)
    @rule(number=which, overlap_us=st.sampled_from([0, 1, HOUR_US, 720 * HOUR_US]))
    def rotate(self, number: int, overlap_us: int) -> None:
        key_id, known = self._pick(number)
        minted = mint("test", PEPPERS)
        work = rotate(key_id, Successor(minted.id, minted.digest, minted.pepper_version, None), overlap_us, "ci")
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
        lifetime_us = known.lifetime_us
        self.keys[minted.id] = Known(minted.access_key, known.team, lifetime_us, self.now_us + lifetime_us)
        self._done("rotated")

    @precondition(lambda self: self.keys)
    @rule(number=which)
    def revoke(self, number: int) -> None:
        key_id, known = self._pick(number)
        stored: StoredAccessKey = self.run(self.books.change(revoke(key_id, Operator("platform/ada", ""))))
        assert stored.state == "REVOKED"
        if not known.revoked:
            self.keys[key_id] = replace(known, revoked=True)
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
        assert {key.id: (key.expires_at_us, key.replaced_by) for key in page.keys} == {
            key_id: (known.expires_at_us, known.replaced_by) for key_id, known in self.keys.items()
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

    def _pick(self, number: int) -> tuple[str, Known]:
        return list(self.keys.items())[number % len(self.keys)]

    def _done(self, what: str) -> None:
        self.counts[what] += 1
        self.changes += 1


async def _emptied(tx: Transaction) -> tuple[None, None]:
    await tx.fetch("DELETE FROM access_key")
    return None, None
