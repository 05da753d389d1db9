"""Makes a step durable: the rows change as `machine` says, its notices go into the audit trail, in one transaction.

Changes of keys wait for each other, so that each is reckoned from what there is; a row that is not as it was read is
left alone all the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import orjson

from service.books import ledger
from service.books.entries import Work
from service.books.errors import RequestIdReused
from service.books.records import Record
from service.rotation import machine, rows
from service.rotation.history import Cause, History, Rotation
from service.rotation.machine import Asked, Change, Found, Overtaken
from service.storage.database import Transaction

Step: TypeAlias = Callable[[History, int], Change]
"""Makes of a history, at a time of the database, the next one."""
Seal: TypeAlias = Callable[[int], bytes]
"""Makes the envelope of a new version of this number."""


def step(team: str, act: Step, seal: Seal | None = None) -> Work:
    """Makes one step of a team's keys; gives the `History` after it.

    Raises (through the entry's `done`):
        Overtaken: Somebody else was faster.
        RotationUnderWay: As `machine.stage`.
    """

    async def work(tx: Transaction) -> tuple[History, list[Record]]:
        await rows.lock(tx)
        before = await rows.read_history(tx, team)
        change = act(before, await ledger.clock(tx))
        await _write(tx, before, change.history, seal)
        return change.history, _records(team, change.notices)

    # Of no team: what keeps a team's budget locked does not keep its key from being changed.
    return Work("", work)


def begin(team: str, found: Found, asked: Asked, seal: Seal | None = None) -> Work:
    """Begins a rotation, or finds the one that the same request has begun, or that needs no other; gives the `Rotation`
    and the `History`. There is no rotation if the value is in use without one.

    Raises (through the entry's `done`):
        RequestIdReused: The request's name stands for another one.
        RotationUnderWay: As `machine.stage`.
    """

    def act(history: History, now_us: int) -> Change:
        # Another replica, too, has seen the value, and was faster.
        current = history.current
        in_use = current is not None and current.fingerprint == found.fingerprint
        under_way = machine.there_already(history, found.fingerprint)
        if in_use:
            return Change(history, [])
        if under_way is not None and _is_as_asked(under_way, asked):
            return machine.join(history, under_way, asked)
        return machine.stage(history, found, asked, now_us)

    return _asked(team, asked, found.fingerprint, act, seal)


def begin_unread(team: str, asked: Asked, cause: Cause, message: str) -> Work:
    """Keeps a rotation for which nothing could be read; gives and raises what `begin` does."""

    def act(history: History, now_us: int) -> Change:
        return machine.refuse(history, asked, cause, message, now_us)

    return _asked(team, asked, b"", act, None)


def known(history: History, request_id: str, request_digest: bytes) -> Rotation | None:
    """The rotation that a request has begun before; None if it has no name, or a new one.

    Raises:
        RequestIdReused: The name stands for another request.
    """
    for each in history.rotations:
        if request_id and each.request_id == request_id:
            if each.request_digest != request_digest:
                raise RequestIdReused(request_id)
            return each
    return None


def reseal(team: str, version: int, before: bytes, after: bytes, kek_version: str) -> Work:
    """Puts another envelope of the same value in the place of one; gives whether it did."""

    async def work(tx: Transaction) -> tuple[bool, list[Record]]:
        if not await rows.reseal(tx, team, version, before, after):
            return False, []
        body = {"event": "cohere_key_resealed", "key_version": version, "kek_version": kek_version}
        return True, _records(team, [body])

    return Work("", work)


def _asked(team: str, asked: Asked, fingerprint: bytes, act: Step, seal: Seal | None) -> Work:
    async def work(tx: Transaction) -> tuple[tuple[Rotation | None, History], list[Record]]:
        await rows.lock(tx)
        before = await rows.read_history(tx, team)
        begun = known(before, asked.request_id, asked.request_digest)
        if begun is not None:
            return (begun, before), []
        change = act(before, await ledger.clock(tx))
        if change.history != before:
            await _write(tx, before, change.history, seal)
        rotation = change.history.rotation(asked.id) or machine.there_already(change.history, fingerprint)
        return (rotation, change.history), _records(team, change.notices)

    return Work("", work)


def _is_as_asked(under_way: Rotation, asked: Asked) -> bool:
    """Whether a rotation for which nobody asked does what somebody asks for now."""
    return asked.by == machine.AUTOMATIC or (not asked.probe and asked.overlap_us == under_way.overlap_us)


async def _write(tx: Transaction, before: History, after: History, seal: Seal | None) -> None:
    new = [each.version for each in after.versions if before.version(each.version) is None]
    sealed = {version: seal(version) for version in new} if seal else {}
    if not await rows.write(tx, before, after, sealed):
        raise Overtaken
    await rows.count_up(tx)


def _records(team: str, notices: Sequence[dict[str, Any]]) -> list[Record]:
    return [Record("notice", "", team, orjson.dumps(body)) for body in notices]
