"""Carries one rotation from where it stands to CURRENT, or to its end: read, check, compare, try, put to use.

Whoever holds the lease does; every step may be the last that a replica makes, and another goes on from there.
"""

import asyncio

import structlog

from clients.cohere_key import CohereKey
from clients.secrets.key_source import Secret
from service.books.errors import BooksError, BooksUnavailable
from service.rotation import machine
from service.rotation.held import CannotOpen
from service.rotation.held_keys import KIND, HeldKeys
from service.rotation.history import SAYS_NOTHING, Cause, History, Rotation, State, Version
from service.rotation.machine import LEASE_US, Change
from service.rotation.parts import Checked, Checker, Probe
from service.rotation.replica import Replica
from service.rotation.team_keys import TeamKeys

AGAIN_AFTER_S = 2.0
GIVEN_UP_AFTER_US = 30_000_000
"""For how long what only needs another try, such as a Cohere that does not answer, is tried again."""

_OTHER = "it is of another organization ({}) than version {} ({}): somebody else would pay"
_OTHER_VALUE = "the source holds another value than when the rotation began"

_log = structlog.get_logger()


class Carrier:
    """Carries rotations.

    Args:
        replica: This one.
        held: Holds the keys that are in the database.
        checker: Asks Cohere.
        probe: Tries a key in a call.
    """

    def __init__(self, replica: Replica, held: HeldKeys, checker: Checker, probe: Probe) -> None:
        self._replica = replica
        self._held = held
        self._checker = checker
        self._probe = probe

    async def carry(self, keys: TeamKeys, rotation_id: str) -> None:
        """Carries a rotation whose lease this replica holds, until it is CURRENT, over, or another's.

        Raises:
            BooksError: The database does not answer; whoever is left goes on when the lease is over.
        """
        keeping = asyncio.create_task(self._keep(keys, rotation_id))
        try:
            await self._carry(keys, rotation_id)
        finally:
            keeping.cancel()

    async def _carry(self, keys: TeamKeys, rotation_id: str) -> None:
        name = self._replica.name
        while True:
            rotation = keys.history.rotation(rotation_id)
            if rotation is None or not rotation.is_open or rotation.lease_holder != name:
                return
            if rotation.state is State.VERIFIED:
                await self._replica.step(
                    keys, lambda history, now_us: machine.make_current(history, rotation_id, name, now_us)
                )
            else:
                await self._check(keys, rotation)

    async def judge(self, keys: TeamKeys, value: str, probe_by: str | None, version: int = 0) -> Checked:
        """Whether a value may be a team's key: Cohere takes it, it is of the same organization, and a call goes well.

        Args:
            keys: The team's.
            value: What is to be judged.
            probe_by: For whom a call is made with it; None: none is.
            version: What it is, or is to be; 0 if it is to be none.
        """
        found = await self._checker.check(value, keys.way.base_url)
        current = await self._current(keys)
        if found.cause is not None and not (probe_by and _has_no_check(found, current)):
            return found
        if current is not None and current.organization_id not in {"", found.organization_id}:
            message = _OTHER.format(found.organization_id or "Cohere does not say which", current.version,
                                    current.organization_id)  # fmt: skip
            return Checked(Cause.OTHER_ORGANIZATION, found.organization_id, message)
        if probe_by is not None:
            tried = await self._probe(keys.team, CohereKey(value, version), probe_by)
            if tried.cause is not None:
                return tried
        return Checked(None, found.organization_id)

    async def learn(self, keys: TeamKeys) -> None:
        """Asks whose the version in use is, if nobody knows yet.

        Raises:
            BooksError: As `carry`.
        """
        current = keys.history.current
        value = keys.value_of(current)
        if current is None or current.organization_id or value is None:
            return
        found = await self._checker.check(value, keys.way.base_url)
        if found.cause is None and found.organization_id:
            number, organization_id = current.version, found.organization_id
            await self._replica.step(keys, lambda history, _: machine.learn(history, number, organization_id))

    async def _keep(self, keys: TeamKeys, rotation_id: str) -> None:
        """Keeps the lease while the work goes on, however long Cohere takes."""
        name = self._replica.name
        held = True
        while held:
            await asyncio.sleep(LEASE_US / 3e6)
            try:
                held = await self._replica.step(
                    keys, lambda history, now_us: machine.claim(history, rotation_id, name, now_us)
                )
            except BooksError as error:
                _log.warning("lease of a rotation not kept", rotation=rotation_id, problem=str(error))

    async def _current(self, keys: TeamKeys) -> Version | None:
        await self.learn(keys)
        return keys.history.current

    async def _check(self, keys: TeamKeys, rotation: Rotation) -> None:
        name, rotation_id = self._replica.name, rotation.id
        value = await self._value(keys, keys.history.version(rotation.version))
        if isinstance(value, Checked):
            found = value
        else:
            probe_by = rotation.started_by if rotation.probe else None
            found = await self.judge(keys, value, probe_by, rotation.version or 0)
        cause = found.cause
        if cause is None:
            await self._replica.step(
                keys,
                lambda history, now_us: machine.verify(history, rotation_id, name, found.organization_id, now_us),
            )
        elif cause in SAYS_NOTHING - {Cause.SUPERSEDED} and not self._is_late(rotation):
            await asyncio.sleep(AGAIN_AFTER_S)
        else:

            def fail(history: History, now_us: int) -> Change:
                return machine.fail(history, rotation_id, name, cause, found.message, now_us)

            await self._replica.step(keys, fail)

    async def _value(self, keys: TeamKeys, version: Version | None) -> str | Checked:
        """The value of a staged version: from memory, from its envelope, or from the source, if that still has it."""
        value = keys.value_of(version)
        if value is not None or version is None:
            return value or Checked(Cause.SUPERSEDED, message=_OTHER_VALUE)
        if keys.way.source.kind == KIND:
            return await self._opened(keys.team, version.version)
        found = await keys.read()
        if not isinstance(found, Secret):
            return found
        return keys.value_of(version) or Checked(Cause.SUPERSEDED, message=_OTHER_VALUE)

    async def _opened(self, team: str, version: int) -> str | Checked:
        try:
            value = await self._held.read(team, version)
        except (CannotOpen, BooksUnavailable) as error:
            return Checked(Cause.SOURCE_UNAVAILABLE, message=f"held: {error}")
        return value or Checked(Cause.SUPERSEDED, message=_OTHER_VALUE)

    def _is_late(self, rotation: Rotation) -> bool:
        return self._replica.now_us() - rotation.started_at_us > GIVEN_UP_AFTER_US


def _has_no_check(found: Checked, current: Version | None) -> bool:
    """Whether a Cohere that says nothing of keys may be one that never does: it did not of the version in use either.

    A call with the key tells then.
    """
    return found.cause is Cause.COHERE_UNAVAILABLE and (current is None or not current.organization_id)
