"""The steps of a rotation: each makes of a team's history the next one, and says what the audit trail has to say. Pure.

    STAGED → VERIFIED → CURRENT → RETIRED → DESTROYED        FAILED: from STAGED or VERIFIED
                              ↘ ROLLED_BACK                  The old version: PREVIOUS while the rotation is CURRENT

A step that is not allowed any more raises `Overtaken`: somebody else was faster, and the history says how far.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from service.books.errors import BooksError, RotationUnderWay
from service.rotation.history import OPEN, Cause, History, Rotation, State, Version

AUTOMATIC = "cohort"
"""Who starts a rotation for which nobody asked: a source was found changed."""
LEASE_US = 10_000_000
"""How long others leave a rotation to who works on it, from when they last said that they do."""


class Overtaken(BooksError):
    """The step is not allowed, or not any more."""


class Found(NamedTuple):
    """A value, without the value."""

    fingerprint: bytes
    reference: str
    source_version: str = ""
    organization_id: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rotation is to be."""

    id: str
    by: str
    overlap_us: int
    holder: str
    """The replica that begins to work on it."""
    probe: bool = False
    request_id: str = ""
    request_digest: bytes = b""


class Change(NamedTuple):
    """What a step makes of a history, and the bodies of its notices."""

    history: History
    notices: list[dict[str, Any]]


def adopt(history: History, found: Found, now_us: int) -> Change:
    """Takes a team's first version for CURRENT: there is nothing to compare it with, and calls are waiting."""
    if history.current is not None or history.open is not None:
        raise Overtaken
    version = _new(history, found, State.CURRENT, now_us)
    body = {"event": "cohere_key_adopted", **_of_version(version)}
    return Change(history.with_version(version), [body])


def stage(history: History, found: Found, asked: Asked, now_us: int) -> Change:
    """Begins a rotation to a value. One under way for which nobody asked makes room, but not for another replica's.

    Raises:
        RotationUnderWay: For the one under way somebody asked; or it is another replica's, and nobody asked for this.
    """
    notices: list[dict[str, Any]] = []
    if (under_way := history.open) is not None:
        # Two replicas whose sources differ would else end each other's rotations for ever.
        is_anothers = asked.by == AUTOMATIC and asked.holder != under_way.lease_holder
        if under_way.started_by != AUTOMATIC or is_anothers:
            raise RotationUnderWay(history.team, under_way.id)
        message = "another version was put into the source, or given, before this one was checked"
        history, notices = _failed(history, under_way, Cause.SUPERSEDED, message, now_us)
    version = _new(history, found, State.STAGED, now_us)
    rotation = _begun(asked, State.STAGED, version.version, now_us)
    history = history.with_version(version).with_rotation(rotation)
    body = {"event": "cohere_key_staged", **_of_rotation(rotation), **_of_version(version), "probe": asked.probe,
            "overlap_seconds": asked.overlap_us // 1_000_000}  # fmt: skip
    return Change(history, [*notices, body])


def there_already(history: History, fingerprint: bytes) -> Rotation | None:
    """The rotation that brought a value into use, or that is about to and for which nobody asked."""
    current, under_way = history.current, history.open_to(fingerprint)
    if current is not None and current.fingerprint == fingerprint:
        return history.rotation_to(current.version)
    return under_way if under_way is not None and under_way.started_by == AUTOMATIC else None


def join(history: History, rotation: Rotation, asked: Asked) -> Change:
    """Lets a request that is sent again find the rotation for which nobody had asked before it."""
    if rotation.request_id or not asked.request_id:
        return Change(history, [])
    named = replace(rotation, request_id=asked.request_id, request_digest=asked.request_digest)
    return Change(history.with_rotation(named), [])


def refuse(history: History, asked: Asked, cause: Cause, message: str, now_us: int) -> Change:
    """Keeps a rotation that somebody asked for, and for which nothing could be read."""
    rotation = replace(_begun(asked, State.FAILED, None, now_us), cause=cause, message=message, lease_until_us=0)
    return Change(history.with_rotation(rotation), [_failure("cohere_key_failed", rotation)])


def claim(history: History, rotation_id: str, holder: str, now_us: int) -> Change:
    """Lets a replica go on with a rotation that its holder has left, or keep the one that it holds."""
    rotation = _require(history, rotation_id, OPEN)
    if rotation.lease_holder != holder and now_us < rotation.lease_until_us:
        raise Overtaken
    return Change(history.with_rotation(_leased(rotation, holder, now_us)), [])


def verify(history: History, rotation_id: str, holder: str, organization_id: str, now_us: int) -> Change:
    """Keeps that Cohere takes the new version, and whose it is."""
    rotation, version = _held(history, rotation_id, holder, frozenset({State.STAGED}))
    rotation = replace(_leased(rotation, holder, now_us), state=State.VERIFIED, changed_at_us=now_us)
    version = replace(version, state=State.VERIFIED, organization_id=organization_id)
    body = {"event": "cohere_key_verified", **_of_rotation(rotation), "organization_id": organization_id}
    return Change(history.with_version(version).with_rotation(rotation), [body])


def make_current(history: History, rotation_id: str, holder: str, now_us: int) -> Change:
    """Puts the new version into use; the one before is PREVIOUS then, and what was PREVIOUS before that RETIRED."""
    rotation, version = _held(history, rotation_id, holder, frozenset({State.VERIFIED}))
    notices: list[dict[str, Any]] = []
    if history.previous is not None:
        history, notices = _without_previous(history, now_us)
    before = history.current
    previous_version = None if before is None else before.version
    if before is not None:
        until_us = now_us + rotation.overlap_us
        history = history.with_version(replace(before, state=State.PREVIOUS, overlap_until_us=until_us))
    rotation = replace(
        rotation, state=State.CURRENT, previous_version=previous_version, changed_at_us=now_us, lease_until_us=0
    )
    body = {"event": "cohere_key_current", **_of_rotation(rotation)}
    if before is not None:
        body["overlap_until_us"] = now_us + rotation.overlap_us
    history = history.with_version(replace(version, state=State.CURRENT)).with_rotation(rotation)
    return Change(history, [*notices, body])


def fail(history: History, rotation_id: str, holder: str, cause: Cause, message: str, now_us: int) -> Change:
    """Ends a rotation whose new version was never in use."""
    rotation, _ = _held(history, rotation_id, holder, OPEN)
    return Change(*_failed(history, rotation, cause, message, now_us))


def roll_back(history: History, version: int, cause: Cause, message: str, now_us: int) -> Change:
    """Puts PREVIOUS into use again: Cohere refused the version in a call that PREVIOUS survived."""
    refused, previous = history.current, history.fallback(now_us)
    rotation = history.rotation_to(version)
    if refused is None or previous is None or rotation is None or refused.version != version:
        raise Overtaken
    if rotation.state is not State.CURRENT or rotation.previous_version != previous.version:
        raise Overtaken
    rotation = replace(rotation, state=State.ROLLED_BACK, cause=cause, message=message, changed_at_us=now_us)
    history = history.with_version(replace(refused, state=State.ROLLED_BACK))
    history = history.with_version(replace(previous, state=State.CURRENT, overlap_until_us=0)).with_rotation(rotation)
    return Change(history, [_failure("cohere_key_rolled_back", rotation)])


def retire(history: History, rotation_id: str, now_us: int) -> Change:
    """Lets nothing fall back on the old version any more: its overlap is over."""
    rotation = _require(history, rotation_id, frozenset({State.CURRENT}))
    previous = history.previous
    if previous is None or rotation.previous_version != previous.version or now_us < previous.overlap_until_us:
        raise Overtaken
    return Change(*_without_previous(history, now_us))


def destroy(history: History, rotation_id: str, call_us_max: int, now_us: int) -> Change:
    """Keeps that no call uses the old version any more: each that began with it has ended.

    Args:
        history: Before.
        rotation_id: Which.
        call_us_max: How long a call can last, with all replicas knowing by then that the version is RETIRED.
        now_us: The database's time.
    """
    rotation = _require(history, rotation_id, frozenset({State.RETIRED}))
    old = history.version(rotation.previous_version)
    if old is None or now_us < rotation.changed_at_us + call_us_max:
        raise Overtaken
    history = history.with_version(replace(old, state=State.DESTROYED))
    rotation = replace(rotation, state=State.DESTROYED, changed_at_us=now_us)
    body = {"event": "cohere_key_destroyed", **_of_rotation(rotation)}
    return Change(history.with_rotation(rotation), [body])


def learn(history: History, version: int, organization_id: str) -> Change:
    """Keeps whose a version is that nobody could ask about before."""
    known = history.version(version)
    if known is None or known.organization_id or not organization_id:
        raise Overtaken
    known = replace(known, organization_id=organization_id)
    body = {"event": "cohere_key_organization_known", **_of_version(known), "organization_id": organization_id}
    return Change(history.with_version(known), [body])


def _new(history: History, found: Found, state: State, now_us: int) -> Version:
    number = max((each.version for each in history.versions), default=0) + 1
    return Version(
        number, found.fingerprint, found.reference, state, now_us, found.source_version, found.organization_id
    )


def _begun(asked: Asked, state: State, version: int | None, now_us: int) -> Rotation:
    return Rotation(
        asked.id, state, version, asked.overlap_us, asked.probe, asked.by, now_us, now_us,
        request_id=asked.request_id, request_digest=asked.request_digest,
        lease_holder=asked.holder, lease_until_us=now_us + LEASE_US,
    )  # fmt: skip


def _failed(
    history: History, rotation: Rotation, cause: Cause, message: str, now_us: int
) -> tuple[History, list[dict[str, Any]]]:
    rotation = replace(
        rotation, state=State.FAILED, cause=cause, message=message, changed_at_us=now_us, lease_until_us=0
    )
    version = history.version(rotation.version)
    if version is not None:
        history = history.with_version(replace(version, state=State.FAILED))
    return history.with_rotation(rotation), [_failure("cohere_key_failed", rotation)]


def _without_previous(history: History, now_us: int) -> tuple[History, list[dict[str, Any]]]:
    """The history with PREVIOUS retired, and with it the rotation whose overlap that ends."""
    previous = history.previous
    if previous is None:
        return history, []
    history = history.with_version(replace(previous, state=State.RETIRED, overlap_until_us=0))
    ending = [
        each for each in history.rotations
        if each.state is State.CURRENT and each.previous_version == previous.version
    ]  # fmt: skip
    notices = []
    for each in ending:
        retired = replace(each, state=State.RETIRED, changed_at_us=now_us)
        history = history.with_rotation(retired)
        notices.append({"event": "cohere_key_retired", **_of_rotation(retired)})
    return history, notices


def _require(history: History, rotation_id: str, states: frozenset[State]) -> Rotation:
    rotation = history.rotation(rotation_id)
    if rotation is None or rotation.state not in states:
        raise Overtaken
    return rotation


def _held(history: History, rotation_id: str, holder: str, states: frozenset[State]) -> tuple[Rotation, Version]:
    rotation = _require(history, rotation_id, states)
    version = history.version(rotation.version)
    if rotation.lease_holder != holder or version is None:
        raise Overtaken
    return rotation, version


def _leased(rotation: Rotation, holder: str, now_us: int) -> Rotation:
    return replace(rotation, lease_holder=holder, lease_until_us=now_us + LEASE_US)


def _of_rotation(rotation: Rotation) -> dict[str, Any]:
    body: dict[str, Any] = {"rotation": rotation.id, "principal": rotation.started_by}
    if rotation.version is not None:
        body["key_version"] = rotation.version
    if rotation.previous_version is not None:
        body["previous_version"] = rotation.previous_version
    return body


def _of_version(version: Version) -> dict[str, Any]:
    return {
        "key_version": version.version,
        "source": version.reference,
        "source_version": version.source_version,
    }


def _failure(event: str, rotation: Rotation) -> dict[str, Any]:
    assert rotation.cause is not None  # noqa: S101 (what ends a rotation early says why)
    return {"event": event, **_of_rotation(rotation), "cause": rotation.cause.value, "message": rotation.message}
