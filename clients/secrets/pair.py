"""A source that keeps no earlier versions, with a second one beside it that holds the key before."""

from pathlib import Path

from clients.errors import SecretMissing
from clients.secrets.key_source import KeySource, Secret


class PairedSource:
    """See `KeySource`: what the second source holds is the version before.

    Args:
        current: Holds the current version; names the pair.
        previous: Holds the one before, or nothing.
    """

    def __init__(self, current: KeySource, previous: KeySource) -> None:
        self._current = current
        self._previous = previous

    @property
    def kind(self) -> str:
        """See `KeySource.kind`."""
        return self._current.kind

    @property
    def reference(self) -> str:
        """See `KeySource.reference`."""
        return self._current.reference

    @property
    def path(self) -> Path | None:
        """See `KeySource.path`."""
        return self._current.path

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        return await self._current.read()

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        try:
            return await self._previous.read()
        except SecretMissing:
            return None
