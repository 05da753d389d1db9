"""Reads a team's Cohere key from its source, and has the team's ring use what it finds."""

import asyncio

from clients.cohere_key import CohereKey
from clients.errors import SecretMissing
from clients.key_ring import KeyRing
from clients.secrets.source import SecretSource


class KeyReader:
    """Follows one source: each other value is a new version. What cannot be read leaves the last good one in use.

    Args:
        source: Where the key lives; read at once.
        keys: The ring that uses it, and asks for renewals.
    """

    def __init__(self, source: SecretSource, keys: KeyRing) -> None:
        self.source = source
        self._keys = keys
        keys.renew = self.renewed
        self.renew()

    def renew(self) -> bool:
        """Reads the source; True if that changed the current version."""
        return self._take(_read(self.source))

    async def renewed(self) -> bool:
        """Reads the source in a thread; True if that changed the current version."""
        return self._take(await asyncio.to_thread(_read, self.source))

    def _take(self, found: str | SecretMissing) -> bool:
        if isinstance(found, SecretMissing):
            self._keys.problem = str(found)
            return False
        self._keys.problem = ""
        current = self._keys.in_use
        if current is not None and current.same_as(found):
            return False
        self._keys.use(CohereKey(found, current.version + 1 if current else 1))
        return True


def _read(source: SecretSource) -> str | SecretMissing:
    try:
        return source.read()
    except SecretMissing as missing:
        return missing
