"""What a test does to a store of Cohere keys, whichever it is."""

from typing import Protocol

from clients.secrets.key_source import KeySource

COHERE_KEYS = ("co-canary-0001-abcdefghijklmnopqrstuvwxyz", "co-canary-0002-abcdefghijklmnopqrstuvwxyz",
               "co-canary-0003-abcdefghijklmnopqrstuvwxyz")  # fmt: skip


class Shelf(Protocol):
    """A place for one Cohere key in a real store, or in what stands for it."""

    source: KeySource

    def other(self, reference: str) -> KeySource:
        """Another source in the same store; `{}` in the reference stands for the name of this shelf's secret."""

    async def put(self, value: str) -> str:
        """Makes a new version; gives its name."""

    async def disable_newest(self) -> None:
        """Makes the newest version unreadable, in the way that the store has for it."""


class GuardedShelf(Shelf, Protocol):
    """A shelf in a store that can refuse us."""

    async def bar(self) -> None:
        """From now on our identity may not read this."""

    async def lock_out(self) -> None:
        """From now on our identity is not taken at all."""
