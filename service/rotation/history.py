"""What the database knows of one team's Cohere keys: their versions, and how one took the place of another. No values.

A rotation's state is the state of the change; a version's is what calls may do with it.
"""

import enum
from dataclasses import dataclass, replace
from typing import Self


class State(enum.StrEnum):
    """Where a version or a rotation stands. PREVIOUS is of versions only."""

    STAGED = "staged"
    VERIFIED = "verified"
    CURRENT = "current"
    PREVIOUS = "previous"
    RETIRED = "retired"
    DESTROYED = "destroyed"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


class Cause(enum.StrEnum):
    """Why a version cannot be used, as `RotationFailureCause` names it."""

    SOURCE_UNAVAILABLE = "source_unavailable"
    KEY_NOT_SET = "key_not_set"
    KEY_MISTYPED = "key_mistyped"
    KEY_REJECTED = "key_rejected"
    KEY_FORBIDDEN = "key_forbidden"
    BILLING = "billing"
    OTHER_ORGANIZATION = "other_organization"
    COHERE_UNAVAILABLE = "cohere_unavailable"
    PROBE_FAILED = "probe_failed"
    SUPERSEDED = "superseded"


OPEN = frozenset({State.STAGED, State.VERIFIED})
"""Of a rotation: not in use yet, and not over."""
NOT_TAKEN = frozenset({State.FAILED, State.ROLLED_BACK})
"""Of a version: it was tried, and is not to be tried again by itself."""
SAYS_NOTHING = frozenset({Cause.SOURCE_UNAVAILABLE, Cause.COHERE_UNAVAILABLE, Cause.SUPERSEDED})
"""Causes that say nothing of the key itself: it may be tried again."""


@dataclass(frozen=True, slots=True)
class Version:
    """One value that a team's key had, or is to have."""

    version: int
    fingerprint: bytes
    """An HMAC of the value: the same for the same value, and of no use to find it."""
    reference: str
    """Where it came from."""
    state: State
    created_at_us: int
    source_version: str = ""
    """What its source calls it, if it does."""
    organization_id: str = ""
    """Cohere's name of whose it is; "" as long as nobody knows."""
    overlap_until_us: int = 0
    """Until when a PREVIOUS one may be fallen back on."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """How one version takes the place of another."""

    id: str
    state: State
    version: int | None
    """The new one; None if nothing could be read."""
    overlap_us: int
    probe: bool
    started_by: str
    started_at_us: int
    changed_at_us: int
    previous_version: int | None = None
    """The one before, once the new one is CURRENT; None if there is none."""
    request_id: str = ""
    request_digest: bytes = b""
    cause: Cause | None = None
    message: str = ""
    lease_holder: str = ""
    """Who works on it; only they move it on."""
    lease_until_us: int = 0

    @property
    def is_open(self) -> bool:
        """It is neither in use nor over."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class History:
    """All of one team, versions by number and rotations by their beginning."""

    team: str
    versions: tuple[Version, ...] = ()
    rotations: tuple[Rotation, ...] = ()

    @property
    def current(self) -> Version | None:
        """The version that calls use."""
        return self._in_state(State.CURRENT)

    @property
    def previous(self) -> Version | None:
        """The version that they may fall back on."""
        return self._in_state(State.PREVIOUS)

    @property
    def open(self) -> Rotation | None:
        """The rotation that is under way."""
        return next((each for each in self.rotations if each.is_open), None)

    def open_to(self, fingerprint: bytes) -> Rotation | None:
        """The rotation that is under way to this value."""
        under_way = self.open
        version = None if under_way is None else self.version(under_way.version)
        return under_way if version is not None and version.fingerprint == fingerprint else None

    def fallback(self, now_us: int) -> Version | None:
        """The version that a refused call may fall back on at a time, which may be a little behind the database's."""
        previous, current = self.previous, self.current
        rotation = None if current is None else self.rotation_to(current.version)
        if previous is None or (rotation is not None and rotation.overlap_us == 0):
            return None
        return previous if now_us < previous.overlap_until_us else None

    def not_taken(self, fingerprint: bytes) -> Version | None:
        """The version that a value was when it failed, or was rolled back; None if it did not, or is another by now."""
        known = self.latest_of(fingerprint)
        return known if known is not None and known.state in NOT_TAKEN else None

    def version(self, number: int | None) -> Version | None:
        """The version of a number."""
        return next((each for each in self.versions if each.version == number), None)

    def rotation(self, rotation_id: str) -> Rotation | None:
        """The rotation of an id."""
        return next((each for each in self.rotations if each.id == rotation_id), None)

    def rotation_to(self, number: int | None) -> Rotation | None:
        """The rotation that brought a version, None for one that came without."""
        return next((each for each in self.rotations if each.version == number), None)

    def latest_of(self, fingerprint: bytes) -> Version | None:
        """The newest version with this value."""
        return next((each for each in reversed(self.versions) if each.fingerprint == fingerprint), None)

    def with_version(self, version: Version) -> Self:
        """The same with a version put in, or in the place of the one of its number."""
        others = [each for each in self.versions if each.version != version.version]
        return replace(self, versions=tuple(sorted([*others, version], key=lambda each: each.version)))

    def with_rotation(self, rotation: Rotation) -> Self:
        """The same with a rotation put at the end, or in the place of the one of its id."""
        if self.rotation(rotation.id) is None:
            return replace(self, rotations=(*self.rotations, rotation))
        renewed = tuple(rotation if each.id == rotation.id else each for each in self.rotations)
        return replace(self, rotations=renewed)

    def _in_state(self, state: State) -> Version | None:
        return next((each for each in self.versions if each.state is state), None)
