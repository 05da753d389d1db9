"""Rotates keys: for whoever asks, and by itself where a source holds another value than the database knows.

A rotation that has begun goes on whether its caller waits or not.
"""

import asyncio
import contextlib
from typing import NamedTuple

import structlog

from clients.key_shape import flaws_of
from clients.secrets.key_source import Secret
from service.books.errors import BooksError, RotationUnderWay, TeamUnknown
from service.identity.base62 import random_base62
from service.rotation import machine, steps
from service.rotation.carrying import Carrier
from service.rotation.deciding import News, news
from service.rotation.held_keys import KIND, HeldKeys
from service.rotation.history import Cause, History, Rotation, State, Version
from service.rotation.machine import AUTOMATIC, Asked, Change, Found
from service.rotation.parts import Checked, Failed
from service.rotation.replica import Replica
from service.rotation.team_keys import TeamKeys

ID_DIGITS = 12
OVERLAP_DEFAULT_US = 86_400_000_000
POLL_S = 0.2
"""How often a rotation is looked at that another replica works on, while somebody waits for it."""
PATIENCE_S = 60.0

_log = structlog.get_logger()


class Wish(NamedTuple):
    """What somebody asks for."""

    team: str
    by: str
    overlap_us: int
    value: str | None = None
    """None: the source is read."""
    probe: bool = False
    request_id: str = ""
    request_digest: bytes = b""

    def __repr__(self) -> str:
        return f"<Wish of {self.by} for {self.team}>"


class Told(NamedTuple):
    """What came of it."""

    history: History
    rotation: Rotation | None
    """None: nothing was begun, and none brought the version that is in use."""
    unchanged: bool = False
    checked: Checked | None = None
    """What was found, where nothing was to be changed."""


class Rotations:
    """Begins rotations in this replica, and sees them through.

    Args:
        replica: This one.
        held: Seals what Cohort keeps itself.
        carrier: Carries what has begun.
        failed: Told of a team, and what became of a rotation for which nobody waits.
    """

    def __init__(self, replica: Replica, held: HeldKeys, carrier: Carrier, failed: Failed) -> None:
        self._replica = replica
        self._held = held
        self._carrier = carrier
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def rotate(self, wish: Wish) -> Told:
        """Does what somebody asks for; returns once it is in use here, or cannot be.

        Raises:
            TeamUnknown: The config names no such team.
            RequestIdReused: The request's name stands for another one.
            RotationUnderWay: Somebody asked for another one, which is not over.
            BooksUnavailable: The database does not answer.
        """
        keys = self._of(wish.team)
        await self._replica.refresh()
        begun = steps.known(keys.history, wish.request_id, wish.request_digest)
        if begun is not None:
            return Told(keys.history, begun)
        value = await self._value(keys, wish)
        asked = self._asked(wish)
        if isinstance(value, Checked):
            cause = value.cause or Cause.SOURCE_UNAVAILABLE
            work = steps.begin_unread(keys.team, asked, cause, value.message)
            return Told(keys.history, await self._replica.begin(keys, work))
        found = self._found(keys, value)
        # Who leaves now must not leave one that has begun without anybody to carry it.
        rotation = await asyncio.shield(self._begin(keys, found, value, asked))
        current = keys.history.current
        if current is not None and current.fingerprint == found.fingerprint:
            if wish.value is not None:
                await self._restore(keys, current, wish.value)
            return Told(keys.history, rotation, unchanged=True)
        if rotation is None:
            return Told(keys.history, None)
        await self._seen_through(keys, rotation)
        return Told(keys.history, keys.history.rotation(rotation.id))

    async def validate(self, wish: Wish) -> Told:
        """Says what would come of it, and changes nothing.

        Raises:
            TeamUnknown, BooksUnavailable: As `rotate`.
        """
        keys = self._of(wish.team)
        await self._replica.refresh()
        value = await self._value(keys, wish)
        if isinstance(value, Checked):
            return Told(keys.history, None, checked=value)
        current = keys.history.current
        unchanged = current is not None and current.fingerprint == self._found(keys, value).fingerprint
        checked = await self._carrier.judge(keys, value.reveal(), wish.by if wish.probe else None)
        return Told(keys.history, None, unchanged, checked)

    async def look(self, keys: TeamKeys) -> None:
        """Reads a team's source, and does what follows of what is there.

        Raises:
            RotationUnderWay: Something follows, and has to wait for a rotation that somebody asked for.
            BooksUnavailable: The database does not answer.
        """
        async with keys.turn:
            value = await keys.read()
            if keys.lacks_a_version:
                await keys.read_previous()
            if isinstance(value, Checked):
                return
            await self._replica.refresh()
            found = self._found(keys, value)
            match news(keys.history, found.fingerprint, keys.read_before):
                case News.FIRST:
                    flaws = flaws_of(value.reveal())
                    if flaws and flaws[0].fatal:
                        keys.way.ring.problem = f"{found.reference}: the value {flaws[0].problem}; {flaws[0].advice}"
                        return
                    await self._replica.step(keys, lambda history, now_us: machine.adopt(history, found, now_us))
                case News.NONE if not await self._is_good_by_now(keys, found, value):
                    self._tell_if_refused(keys, found)
                case _:
                    wish = Wish(keys.team, AUTOMATIC, OVERLAP_DEFAULT_US)
                    await self._begin(keys, found, value, self._asked(wish))
            keys.looked_at(found.fingerprint)
        under_way = machine.there_already(keys.history, found.fingerprint)
        if under_way is not None and under_way.is_open:
            keys.way.ring.another_is_coming()
            await self._seen_through(keys, under_way)
            self._tell_if_refused(keys, found)

    async def renew(self, keys: TeamKeys) -> None:
        """Does what `look` does, for calls that were refused: they go on with what they have if it cannot be done."""
        try:
            with contextlib.suppress(RotationUnderWay):
                await self.look(keys)
            await self.over(keys)
        except BooksError as error:
            _log.warning("cohere key not renewed", team=keys.team, problem=str(error))

    async def over(self, keys: TeamKeys) -> None:
        """Waits for the rotation that is under way, if one is, whoever asked for it and whoever carries it.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        under_way = keys.history.open
        if under_way is not None:
            keys.way.ring.another_is_coming()
            await self._seen_through(keys, under_way)

    async def survived(self, keys: TeamKeys, refused: int, survivor: int) -> None:
        """Rolls back: Cohere refused a version in a call that the one before survived."""
        message = f"Cohere refused version {refused} in a call that version {survivor} survived"

        def act(history: History, now_us: int) -> Change:
            return machine.roll_back(history, refused, Cause.KEY_REJECTED, message, now_us)

        if await self._replica.step(keys, act):
            self._failed(keys.team, f"rolled back: {message}")

    async def go_on(self, keys: TeamKeys, rotation_id: str) -> None:
        """Takes over a rotation that its holder has left.

        Raises:
            BooksError: The database does not answer.
        """
        name = self._replica.name
        if rotation_id in self._tasks:
            return
        if await self._replica.step(keys, lambda history, now_us: machine.claim(history, rotation_id, name, now_us)):
            _log.info("rotation taken over", team=keys.team, rotation=rotation_id)
            await asyncio.wait({self._carry(keys, rotation_id)})

    async def close(self) -> None:
        """Leaves what has begun to others."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _of(self, team: str) -> TeamKeys:
        keys = self._replica.of(team)
        if keys is None:
            raise TeamUnknown(team)
        return keys

    async def _value(self, keys: TeamKeys, wish: Wish) -> Secret | Checked:
        return await keys.read() if wish.value is None else Secret(wish.value)

    def _found(self, keys: TeamKeys, value: Secret) -> Found:
        fingerprint = self._replica.fingerprints.of(value.reveal())
        return Found(fingerprint, keys.way.source.reference, value.version)

    def _asked(self, wish: Wish) -> Asked:
        return Asked(
            random_base62(ID_DIGITS), wish.by, wish.overlap_us, self._replica.name, wish.probe, wish.request_id,
            wish.request_digest,
        )  # fmt: skip

    async def _begin(self, keys: TeamKeys, found: Found, value: Secret, asked: Asked) -> Rotation | None:
        is_held = keys.way.source.kind == KIND
        seal = self._held.sealing(keys.team, value.reveal()) if is_held else None
        rotation = await self._replica.begin(keys, steps.begin(keys.team, found, asked, seal))
        if rotation is not None and rotation.id == asked.id:
            keys.keep(value.reveal())
            self._carry(keys, rotation.id)
        return rotation

    async def _restore(self, keys: TeamKeys, current: Version, value: str) -> None:
        """Has the value in use that was given once more: what Cohort keeps of it may not be readable any more."""
        await self._held.restore(keys.team, current.version, value)
        keys.keep(value)
        await self._replica.refresh()

    def _carry(self, keys: TeamKeys, rotation_id: str) -> asyncio.Task[None]:
        task = self._tasks[rotation_id] = asyncio.create_task(self._carried(keys, rotation_id))
        task.add_done_callback(lambda _: self._tasks.pop(rotation_id, None))
        return task

    async def _carried(self, keys: TeamKeys, rotation_id: str) -> None:
        try:
            await self._carrier.carry(keys, rotation_id)
        except BooksError as error:
            _log.warning("rotation left to others", team=keys.team, rotation=rotation_id, problem=str(error))
        except Exception as error:
            _log.error("rotation left to others", team=keys.team, rotation=rotation_id, exc_info=error)
        rotation = keys.history.rotation(rotation_id)
        if rotation is None or rotation.started_by != AUTOMATIC:
            return
        if rotation.state is State.FAILED and rotation.cause is not Cause.SUPERSEDED:  # the newer one tells of itself
            self._failed(keys.team, f"version {rotation.version} not taken: {rotation.message}")

    async def _seen_through(self, keys: TeamKeys, rotation: Rotation) -> None:
        """Waits until a rotation is in use, or over; here it is carried by a task of its own."""
        with contextlib.suppress(TimeoutError):  # it is told as it stands
            async with asyncio.timeout(PATIENCE_S):
                while (known := keys.history.rotation(rotation.id)) is not None and known.is_open:
                    task = self._tasks.get(rotation.id)
                    if task is None:
                        await asyncio.sleep(POLL_S)
                        await self._replica.refresh()
                    else:
                        await asyncio.wait({task})

    async def _is_good_by_now(self, keys: TeamKeys, found: Found, value: Secret) -> bool:
        """Whether what was not taken would be now, for a team that has no other key; others are not to ask again."""
        ring = keys.way.ring
        stuck = ring.in_use is None or ring.refusal is not None
        if not stuck or keys.history.not_taken(found.fingerprint) is None:
            return False
        return (await self._carrier.judge(keys, value.reveal(), None)).cause is None

    def _tell_if_refused(self, keys: TeamKeys, found: Found) -> None:
        """Tells operators why what lies in the source is not in use."""
        known = keys.history.not_taken(found.fingerprint)
        rotation = None if known is None else keys.history.rotation_to(known.version)
        if known is not None and rotation is not None:
            fate = "failed" if known.state is State.FAILED else "was rolled back"
            keys.way.ring.problem = f"{found.reference} holds version {known.version}, which {fate}: {rotation.message}"
