"""The day on which each access key and service account was used last: noted in memory, written once a minute.

It is for operators who look for what nobody needs any more; nothing decides by it.
"""

import asyncio
import time
from collections.abc import Collection

import structlog

from service.books.books import Books
from service.books.entries import Work
from service.books.errors import BooksUnavailable
from service.identity.service_accounts import ID_PREFIX
from service.storage.database import Transaction

INTERVAL_S = 60.0

_DAY_S = 86_400
_ACCESS_KEY = """
UPDATE access_key SET last_used_day = clock_us() / 86400000000
WHERE id = $1 AND last_used_day < clock_us() / 86400000000"""
_ACCOUNT = """
UPDATE service_account SET last_used_day = clock_us() / 86400000000
WHERE id = $1 AND last_used_day < clock_us() / 86400000000"""

_log = structlog.get_logger()


class LastUsed:
    """Notes who was let in.

    Args:
        books: Where the days are kept.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._ids: set[str] = set()
        self._written: set[str] = set()
        self._day = 0

    def note(self, credential_id: str) -> None:
        """Notes that an access key or a service account has let somebody in."""
        self._ids.add(credential_id)

    async def keep(self) -> None:
        """Writes what was noted, again and again, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.write()
            except Exception as error:  # the next round may be better
                _log.error("last uses not written", exc_info=error)

    async def write(self) -> None:
        """Writes what was noted since the last time; what cannot be written is kept for the next."""
        day = int(time.time()) // _DAY_S
        if day != self._day:
            self._day, self._written = day, set()
        ids, self._ids = self._ids, set()
        due = sorted(ids - self._written)
        if not due:
            return
        try:
            await self._books.change(_write(due))
        except BooksUnavailable as error:
            self._ids |= ids
            _log.warning("last uses not written", problem=error.why)
        else:
            self._written.update(due)


def _write(ids: Collection[str]) -> Work:
    # In one order everywhere, so that replicas wait for each other and never in a circle. A use changes nobody's
    # access: there is no record of it here, and no other replica is told.
    keys = [(each,) for each in ids if not each.startswith(ID_PREFIX)]
    accounts = [(each,) for each in ids if each.startswith(ID_PREFIX)]

    async def act(tx: Transaction) -> tuple[None, None]:
        await tx.execute_each(_ACCESS_KEY, keys)
        await tx.execute_each(_ACCOUNT, accounts)
        return None, None

    return Work("", act)
