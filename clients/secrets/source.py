"""A reference such as `env:CO_API_KEY` or `file:/run/secrets/cohere` → where the secret is read from."""

import errno
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from clients.errors import SecretMissing

SECRET_BYTES_MAX = 4096


class SecretSource(Protocol):
    """Holds one secret. Implementations MUST NOT cache, log or print the value."""

    @property
    def reference(self) -> str:
        """The reference as the config spells it; safe to print."""

    @property
    def path(self) -> Path | None:
        """The file to watch for changes, or None."""

    def read(self) -> str:
        """Reads the secret as it is now.

        Raises:
            SecretMissing: There is none, or it is not one line of printable ASCII.
        """

    def read_block(self) -> str:
        """Reads a secret of several lines, such as a PEM, as it is now.

        Raises:
            SecretMissing: There is none, or it holds something else than printable ASCII and line ends.
        """


class EnvSource:
    """A secret in an environment variable. The process cannot see a later change of it."""

    path = None

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self.reference = f"env:{name}"
        self._name = name
        self._environ = environ

    def read(self) -> str:
        """See `SecretSource.read`."""
        return _line(self.reference, self._value())

    def read_block(self) -> str:
        """See `SecretSource.read_block`."""
        return _block(self.reference, self._value())

    def _value(self) -> str:
        value = self._environ.get(self._name)
        if value is None:
            raise SecretMissing(f"{self.reference}: the environment variable is not set")
        return value


class FileSource:
    """A secret in a file, such as a mounted Kubernetes secret; one trailing line end is not part of it."""

    def __init__(self, path: Path) -> None:
        self.reference = f"file:{path}"
        self.path = path

    def read(self) -> str:
        """See `SecretSource.read`."""
        return _line(self.reference, without_line_end(self._value()))

    def read_block(self) -> str:
        """See `SecretSource.read_block`."""
        return _block(self.reference, self._value())

    def _value(self) -> str:
        try:
            return text_of(self.path)
        except OSError as error:
            raise SecretMissing(f"{self.reference}: {error.strerror or 'cannot be read'}") from None


def source_of(reference: str, *, environ: Mapping[str, str], folder: Path) -> SecretSource:
    """Makes the source that a reference names.

    Args:
        reference: `env:NAME` or `file:PATH`; a relative path counts from *folder*.
        environ: The environment that `env:` reads.
        folder: Where the config file lies.

    Raises:
        ValueError: The reference has no known prefix, or nothing behind it.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        return EnvSource(name, environ)
    if kind == "file" and name:
        return FileSource(folder / name)
    raise ValueError("a secret is referred to as env:NAME or file:PATH, never written down")


def text_of(path: Path) -> str:
    """What a file holds, each byte a character; of one that is too long, enough to tell that it is.

    Raises:
        OSError: It cannot be read, or is a pipe, a socket or a device.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe that nobody writes to would keep a thread for ever
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as file:
        return file.read(SECRET_BYTES_MAX + 1).decode("latin-1")


def without_line_end(text: str) -> str:
    """The text of a file without the one line end that editors and `echo` put there."""
    return text.removesuffix("\n").removesuffix("\r")


def require_content(reference: str, value: str) -> None:
    """Holds a secret against what any secret is.

    Raises:
        SecretMissing: It is empty, or longer than `SECRET_BYTES_MAX`.
    """
    if not value:
        raise SecretMissing(f"{reference}: empty")
    if len(value) > SECRET_BYTES_MAX:
        raise SecretMissing(f"{reference}: longer than {SECRET_BYTES_MAX} bytes")


def _line(reference: str, value: str) -> str:
    require_content(reference, value)
    if not value.isascii() or not value.isprintable() or value != value.strip() or " " in value:
        raise SecretMissing(f"{reference}: holds whitespace, control or non-ASCII characters")
    return value


def _block(reference: str, value: str) -> str:
    require_content(reference, value)
    if not value.isascii() or not all(line.isprintable() for line in value.splitlines()):
        raise SecretMissing(f"{reference}: holds control or non-ASCII characters")
    return value
