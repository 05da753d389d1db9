"""The directory in force in this process: followed in the database, and ready to be looked up in memory.

A change is in force everywhere within `INTERVAL_S` and the time of a read; in the process that made it, at once.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog

from service.books.books import GLANCE_WAIT_S, READ_WAIT_S, Books
from service.books.errors import BooksUnavailable
from service.identity.access_keys import AccessKeys
from service.identity.directory import Directory, ServiceAccountRecord, read_directory
from service.identity.genuine import Genuine
from service.identity.seals import Seals

INTERVAL_S = 1.0
CATCHING_UP_MAX_S = 1.0

_log = structlog.get_logger()


class Identities:
    """Who is known.

    Args:
        books: Where the directory is kept.
        changed: Called when another directory, or other peppers, have come into force.
        forged: Told of the ids of rows that are not as they were sealed.
    """

    def __init__(
        self, books: Books, changed: Callable[[], None], forged: Callable[[Sequence[str]], object] = lambda _: None
    ) -> None:
        self._books = books
        self._changed = changed
        self._genuine = Genuine(forged)
        self._directory = Directory()
        self._refreshing = asyncio.Lock()
        self._revoked_here: set[str] = set()
        self._in_force = Directory()
        self._environment = ""
        self._peppers: Mapping[str, bytes] | None = None
        self.access_keys = AccessKeys("", {}, ())

    @property
    def accounts(self) -> Mapping[str, ServiceAccountRecord]:
        """Every service account in force by its id."""
        return self._in_force.accounts

    def take_over(self, environment: str, peppers: Mapping[str, bytes]) -> None:
        """Takes what the config says of access keys into force."""
        self._environment, self._peppers = environment, peppers
        self._renew(self._directory)

    def revoked(self, *credential_ids: str) -> None:
        """Takes revocations of this process into force: from now on, whatever the database says or does not say.

        They are never taken back: a read that began before may end after them.
        """
        self._revoked_here.update(credential_ids)
        self._renew(self._directory)

    async def refresh(self, wait_s: float = READ_WAIT_S) -> None:
        """Takes the database's directory into force, if it is another one than is known.

        Another one, and not only a later one: a database that was restored from a backup is at an earlier version.

        Args:
            wait_s: How long reading may take.

        Raises:
            BooksUnavailable: The database does not answer.
        """
        async with self._refreshing:  # of two that are read at the same time the older one could come last
            known = self._directory.version
            directory = await self._books.glance(lambda tx: read_directory(tx, known), wait_s)
            if directory is not None:
                self._renew(directory)

    async def catch_up(self) -> None:
        """Takes a change of this process into force before it is answered, if the database can be read meanwhile.

        If not, `follow` does it: what was shown once, such as a new key, MUST NOT be lost for that.
        """
        try:
            async with asyncio.timeout(CATCHING_UP_MAX_S):
                await self.refresh()
        except (TimeoutError, BooksUnavailable) as error:
            _log.warning("identities not read", problem=str(error))

    async def follow(self) -> None:
        """Refreshes again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        wait_s, begun_s = GLANCE_WAIT_S, loop.time()
        while True:
            # From beginning to beginning: what a slow read just missed is in force with the next one.
            await asyncio.sleep(begun_s + INTERVAL_S - loop.time())
            begun_s = loop.time()
            try:
                await self.refresh(wait_s)
                wait_s = GLANCE_WAIT_S
            except BooksUnavailable as error:  # no call that costs begins now, either
                # To connect anew, or to read a directory of many, may take longer than a look.
                wait_s = READ_WAIT_S
                _log.warning("identities not read", problem=str(error))
            except Exception as error:  # the next look may be better
                _log.error("identities not read", exc_info=error)

    def _renew(self, directory: Directory) -> None:
        self._directory = directory
        if self._peppers is None:  # nobody is let in before the config says by what
            return
        in_force = directory.without(self._revoked_here) if self._revoked_here else directory
        self._in_force = self._genuine.of(in_force, Seals(self._peppers))
        self.access_keys = AccessKeys(self._environment, self._peppers, self._in_force.access_keys)
        self._changed()
