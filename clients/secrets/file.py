"""`file:PATH`: a key in a file, such as a mounted Kubernetes secret, whose change is a swap of symlinks."""

import asyncio
from pathlib import Path

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.key_source import Secret
from clients.secrets.reference import Reference
from clients.secrets.source import require_content, text_of, without_line_end


class FileKeySource:
    """See `KeySource`; there is no version before the one that there is."""

    kind = "file"

    def __init__(self, reference: Reference, folder: Path) -> None:
        self.reference = reference.text
        self.path = folder / reference.name

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        problem: SecretMissing | SourceUnavailable
        try:
            value = without_line_end(await asyncio.to_thread(text_of, self.path))
        except (FileNotFoundError, NotADirectoryError):
            problem = SecretMissing(f"{self.reference}: there is no such file")
        except (OSError, ValueError) as error:  # a path may hold what no path holds
            reason = (error.strerror if isinstance(error, OSError) else None) or "no path"
            problem = SourceUnavailable(f"{self.reference}: {reason}")
        else:
            require_content(self.reference, value)
            return Secret(value)
        raise problem

    async def read_previous(self) -> None:
        """See `KeySource.read_previous`."""
