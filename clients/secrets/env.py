"""`env:NAME`: a key in an environment variable. The process cannot see a later change of it."""

from collections.abc import Mapping

from clients.errors import SecretMissing
from clients.secrets.key_source import Secret
from clients.secrets.reference import Reference
from clients.secrets.source import require_content


class EnvKeySource:
    """See `KeySource`; there is no version before the one that there is."""

    kind = "env"
    path = None

    def __init__(self, reference: Reference, environ: Mapping[str, str]) -> None:
        self.reference = reference.text
        self._name = reference.name
        self._environ = environ

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        value = self._environ.get(self._name)
        if value is None:
            raise SecretMissing(f"{self.reference}: the environment variable is not set")
        require_content(self.reference, value)
        return Secret(value)

    async def read_previous(self) -> None:
        """See `KeySource.read_previous`."""
