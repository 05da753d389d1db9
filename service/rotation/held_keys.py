"""Reads the Cohere keys that Cohort keeps itself, and seals new ones; each team's is a `KeySource` like any other."""

from collections.abc import Callable

import structlog

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import Secret
from service.books.books import Books
from service.books.errors import BooksUnavailable
from service.rotation import rows, steps
from service.rotation.held import CannotOpen, Envelopes, Place
from service.rotation.history import History, Version
from service.rotation.steps import Seal
from service.storage.database import Transaction

REFERENCE = "held:"
KIND = "held"

_log = structlog.get_logger()


class HeldKeys:
    """All of them.

    Args:
        books: Where the envelopes are.
        envelopes: Opens and seals them.
    """

    def __init__(self, books: Books, envelopes: Envelopes) -> None:
        self._books = books
        self.envelopes = envelopes

    def source(self, team: str) -> "HeldSource":
        """The source of a team's key."""
        return HeldSource(team, self)

    def sealing(self, team: str, value: str) -> Seal:
        """Seals a value into the row of the version that it will be."""
        return lambda version: self.envelopes.seal(value, Place(team, version))

    async def read(self, team: str, version: int) -> str | None:
        """The value of a version, None if it is not held, or not any more.

        Raises:
            BooksUnavailable: The database does not answer.
            CannotOpen: Its envelope does not open.
        """
        envelope = await self._books.read(lambda tx: rows.read_sealed(tx, team, version))
        return None if envelope is None else self.envelopes.open(envelope, Place(team, version))

    async def read_kept(self, team: str, kept: Callable[[History], Version | None]) -> Secret | None:
        """The value of the version that *kept* names of a team's history, None if there is none.

        Raises:
            SourceUnavailable: The database does not answer, or the envelope does not open.
        """

        async def look(tx: Transaction) -> tuple[int, bytes] | None:
            version = kept(await rows.read_history(tx, team))
            envelope = None if version is None else await rows.read_sealed(tx, team, version.version)
            return None if version is None or envelope is None else (version.version, envelope)

        try:
            found = await self._books.read(look)
            if found is None:
                return None
            version, envelope = found
            return Secret(self.envelopes.open(envelope, Place(team, version)), str(version))
        except BooksUnavailable as error:
            raise SourceUnavailable(f"{REFERENCE} {error.why}") from None
        except CannotOpen as error:
            raise SourceUnavailable(f"{REFERENCE} {error}") from None

    async def restore(self, team: str, version: int, value: str) -> None:
        """Seals the value of a version once more if its envelope does not open, such as after a KEK was lost.

        Raises:
            BooksError: The database does not answer.
        """
        envelope = await self._books.read(lambda tx: rows.read_sealed(tx, team, version))
        place = Place(team, version)
        if envelope is None:
            return
        try:
            self.envelopes.open(envelope, place)
        except CannotOpen:
            sealed = self.envelopes.seal(value, place)
            await self._books.change(steps.reseal(team, version, envelope, sealed, self.envelopes.current))

    async def reseal(self) -> int:
        """Puts every envelope under the current KEK; how many were under another one.

        Of those that do not open, such as under a KEK that is not there any more, the log tells.

        Raises:
            BooksError: The database does not answer.
        """
        resealed = 0
        for team, version, envelope in await self._books.read(rows.read_all_sealed):
            place = Place(team, version)
            try:
                if not self.envelopes.current or self.envelopes.is_current(envelope):
                    continue
                renewed = self.envelopes.seal(self.envelopes.open(envelope, place), place)
            except CannotOpen as error:
                _log.error("held cohere key not readable", team=team, key_version=version, problem=str(error))
                continue
            work = steps.reseal(team, version, envelope, renewed, self.envelopes.current)
            resealed += await self._books.change(work)
        return resealed


class HeldSource:
    """See `KeySource`: what the database says is in use. Nobody but a rotation changes it."""

    kind = KIND
    reference = REFERENCE
    path = None

    def __init__(self, team: str, held: HeldKeys) -> None:
        self._team = team
        self._held = held

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        secret = await self._held.read_kept(self._team, lambda history: history.current)
        if secret is None:
            raise SecretMissing(f"{REFERENCE} no key was given yet: `cohort rotate {self._team} --key-file FILE`")
        return secret

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        return await self._held.read_kept(self._team, lambda history: history.previous)
