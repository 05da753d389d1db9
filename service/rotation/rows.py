"""The rows of versions and rotations: read into histories, and written as one history became another."""

from collections import defaultdict
from typing import Any, NamedTuple

from service.rotation.history import Cause, History, Rotation, State, Version
from service.storage.database import Transaction

_LOCK = "UPDATE cohere_key_change SET version = version WHERE one = 1"
_COUNT_UP = "UPDATE cohere_key_change SET version = version + 1 WHERE one = 1"
_CHANGE = "SELECT version, clock_us() FROM cohere_key_change WHERE one = 1"
_VERSIONS = """
SELECT team, version, fingerprint, reference, state, created_at_us, source_version, organization_id, overlap_until_us
FROM cohere_key_version WHERE $1 = '' OR team = $1 ORDER BY team, version"""
_ROTATIONS = """
SELECT team, id, state, version, overlap_us, probe, started_by, started_at_us, changed_at_us, previous_version,
  request_id, request_digest, cause, message, lease_holder, lease_until_us
FROM cohere_key_rotation WHERE $1 = '' OR team = $1 ORDER BY team, started_at_us, id"""
_ADD_VERSION = """
INSERT INTO cohere_key_version (team, version, fingerprint, reference, state, created_at_us, source_version,
  organization_id, overlap_until_us, sealed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
# What no replica may use any more is not kept, not even sealed.
_MOVE_VERSION = """
UPDATE cohere_key_version SET state = $1, organization_id = $2, overlap_until_us = $3,
  sealed = CASE WHEN $1 IN ('staged', 'verified', 'current', 'previous', 'retired') THEN sealed ELSE NULL END
WHERE team = $4 AND version = $5 AND state = $6
RETURNING version"""
_ADD_ROTATION = """
INSERT INTO cohere_key_rotation (id, team, open_team, state, version, overlap_us, probe, started_by, started_at_us,
  changed_at_us, previous_version, request_id, request_digest, cause, message, lease_holder, lease_until_us)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"""
_MOVE_ROTATION = """
UPDATE cohere_key_rotation SET open_team = $1, state = $2, previous_version = $3, changed_at_us = $4, cause = $5,
  message = $6, lease_holder = $7, lease_until_us = $8, request_id = $9, request_digest = $10
WHERE id = $11 AND state = $12 AND lease_holder = $13
RETURNING id"""
_SEALED = "SELECT sealed FROM cohere_key_version WHERE team = $1 AND version = $2"
_ALL_SEALED = "SELECT team, version, sealed FROM cohere_key_version WHERE sealed IS NOT NULL ORDER BY team, version"
_RESEAL = """
UPDATE cohere_key_version SET sealed = $1 WHERE team = $2 AND version = $3 AND sealed = $4 RETURNING version"""


class Histories(NamedTuple):
    """All teams' histories as of one change."""

    change: int
    """Another one: something has changed."""
    now_us: int
    """The database's time when they were read."""
    by_team: dict[str, History]


async def lock(tx: Transaction) -> None:
    """Lets nobody else change keys until the transaction ends. Changes are few, and of microseconds."""
    await tx.fetch(_LOCK)


async def count_up(tx: Transaction) -> None:
    """Lets every replica know of a change."""
    await tx.fetch(_COUNT_UP)


async def read_histories(tx: Transaction, known_change: int | None) -> Histories | int:
    """Reads all teams' histories; the database's time alone if they are what is known."""
    ((change, now_us),) = await tx.fetch(_CHANGE)
    if change == known_change:
        return int(now_us)
    versions: dict[str, list[Version]] = defaultdict(list)
    rotations: dict[str, list[Rotation]] = defaultdict(list)
    for team, *row in await tx.fetch(_VERSIONS, ""):
        versions[team].append(_version(*row))
    for team, *row in await tx.fetch(_ROTATIONS, ""):
        rotations[team].append(_rotation(*row))
    teams = versions.keys() | rotations.keys()
    return Histories(change, now_us, {team: History(team, (*versions[team],), (*rotations[team],)) for team in teams})


async def read_history(tx: Transaction, team: str) -> History:
    """Reads one team's history."""
    versions = tuple(_version(*row) for _, *row in await tx.fetch(_VERSIONS, team))
    rotations = tuple(_rotation(*row) for _, *row in await tx.fetch(_ROTATIONS, team))
    return History(team, versions, rotations)


async def write(tx: Transaction, before: History, after: History, sealed: dict[int, bytes]) -> bool:
    """Writes what has changed, each row only if it still is as it was; False if one is not.

    Args:
        tx: Where to.
        before: What was read in the same transaction.
        after: What it is to be.
        sealed: The envelopes of new versions that Cohort holds itself.
    """
    for version in after.versions:
        old = before.version(version.version)
        if old is None:
            await tx.fetch(
                _ADD_VERSION, after.team, version.version, version.fingerprint, version.reference, version.state.value,
                version.created_at_us, version.source_version, version.organization_id, version.overlap_until_us,
                sealed.get(version.version),
            )  # fmt: skip
        elif old != version and not await tx.fetch(
            _MOVE_VERSION, version.state.value, version.organization_id, version.overlap_until_us, after.team,
            version.version, old.state.value,
        ):  # fmt: skip
            return False
    # What is over first: a team has one that is open.
    for rotation in sorted(after.rotations, key=lambda each: each.is_open):
        known = before.rotation(rotation.id)
        if known is None:
            await _add(tx, after.team, rotation)
        elif known != rotation and not await _move(tx, after.team, known, rotation):
            return False
    return True


async def read_sealed(tx: Transaction, team: str, version: int) -> bytes | None:
    """The envelope of a version, None if Cohort does not hold it or not any more."""
    rows = await tx.fetch(_SEALED, team, version)
    return None if not rows or rows[0][0] is None else bytes(rows[0][0])


async def read_all_sealed(tx: Transaction) -> list[tuple[str, int, bytes]]:
    """Every envelope, with its team and version."""
    return [(team, version, bytes(sealed)) for team, version, sealed in await tx.fetch(_ALL_SEALED)]


async def reseal(tx: Transaction, team: str, version: int, before: bytes, after: bytes) -> bool:
    """Puts another envelope in the place of one, if that is still there."""
    return bool(await tx.fetch(_RESEAL, after, team, version, before))


async def _add(tx: Transaction, team: str, rotation: Rotation) -> None:
    await tx.fetch(
        _ADD_ROTATION, rotation.id, team, team if rotation.is_open else None, rotation.state.value, rotation.version,
        rotation.overlap_us, int(rotation.probe), rotation.started_by, rotation.started_at_us, rotation.changed_at_us,
        rotation.previous_version, rotation.request_id, rotation.request_digest, _cause(rotation), rotation.message,
        rotation.lease_holder, rotation.lease_until_us,
    )  # fmt: skip


async def _move(tx: Transaction, team: str, before: Rotation, after: Rotation) -> bool:
    moved = await tx.fetch(
        _MOVE_ROTATION, team if after.is_open else None, after.state.value, after.previous_version,
        after.changed_at_us, _cause(after), after.message, after.lease_holder, after.lease_until_us,
        after.request_id, after.request_digest, after.id, before.state.value, before.lease_holder,
    )  # fmt: skip
    return bool(moved)


def _cause(rotation: Rotation) -> str:
    return rotation.cause.value if rotation.cause else ""


def _version(number: int, fingerprint: bytes, reference: str, state: str, created_at_us: int, *rest: Any) -> Version:
    return Version(number, bytes(fingerprint), reference, State(state), created_at_us, *rest)


def _rotation(*row: Any) -> Rotation:
    (
        rotation_id, state, version, overlap_us, probe, started_by, started_at_us, changed_at_us, previous_version,
        request_id, request_digest, cause, message, lease_holder, lease_until_us,
    ) = row  # fmt: skip
    return Rotation(
        rotation_id, State(state), version, overlap_us, bool(probe), started_by, started_at_us, changed_at_us,
        previous_version, request_id, bytes(request_digest), Cause(cause) if cause else None, message, lease_holder,
        lease_until_us,
    )  # fmt: skip
