"""Where one team's Cohere key lives, whatever keeps it: read in the background, never by a call."""

from pathlib import Path
from typing import Never, Protocol


class Secret:
    """A value and what its source calls it. Opaque: it shows the version, never the value.

    Attributes:
        version: The source's own name for this version, or "" where it has none; safe to log.
    """

    __slots__ = ("_value", "version")

    def __init__(self, value: str, version: str = "") -> None:
        self._value = value
        self.version = version

    def reveal(self) -> str:
        """The value as the source has it, unchecked; MUST NOT be kept elsewhere or logged."""
        return self._value

    def __repr__(self) -> str:
        return f"<Secret version {self.version!r}>"

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not copied out of the process")


class KeySource(Protocol):
    """Holds one Cohere key. Implementations MUST NOT cache, log or print a value, nor quote one in an error."""

    @property
    def kind(self) -> str:
        """The reference's prefix: "env", "file", "vault", "aws-sm", "gcp-sm", "azure-kv" or "held"."""

    @property
    def reference(self) -> str:
        """The reference as the config spells it; safe to print."""

    @property
    def path(self) -> Path | None:
        """The file to watch for changes, or None."""

    async def read(self) -> Secret:
        """Reads the current version.

        Raises:
            SecretMissing: The source answers, and holds none.
            SourceUnavailable: It cannot be reached, or refuses to be read.
        """

    async def read_previous(self) -> Secret | None:
        """Reads the version before the current one; None if the source keeps none.

        Raises:
            SourceUnavailable: As `read`.
        """
