"""Where the one login of a person at a terminal is kept: in a file that nobody else may read.

With the operating system's keyring the file holds all but the tokens. It is always replaced whole, and a lock
beside it lets one command at a time renew or end the login: a refresh token may be good for one use.
"""

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, ValidationError

from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.token_keyring import Keyring, Tokens
from service.config import environment_variable

_FILE_BYTES_MAX = 256 * 1024


class Login(Tokens):
    """A login: at which issuer it was made and how, and what came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    issuer: str
    client_id: str
    scopes_asked: tuple[str, ...]
    audience: str | None = None
    resource: str | None = None
    token_endpoint: str
    revocation_endpoint: str | None = None
    subject: str | None = None
    """Who logged in, as the issuer says."""
    scopes: tuple[str, ...] = ()
    """What was granted, as the issuer spells it."""
    expires_at_s: int | None = None
    """When the access token does, Unix seconds; None if the issuer does not say."""
    keyring: bool = False
    """Whether the tokens are kept in the keyring."""


class LoginStore:
    """Keeps one login.

    Args:
        folder: Where; made at the first save.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "login.json"
        self._folder = folder
        self._keyring = Keyring(str(self.file))

    def load(self) -> Login | None:
        """The login that is kept, or None.

        Raises:
            CommandFailed: It cannot be read, others may read it, or it is not what `save` wrote.
        """
        login = self.described()
        if login is None or not login.keyring:
            return login
        return login.model_copy(update=self._keyring.load().model_dump())

    def described(self) -> Login | None:
        """The login that is kept, without its tokens if they are in the keyring; raises as `load` does."""
        with self._told():
            try:
                # A pipe in its place would block an open for good.
                descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                return None
            with os.fdopen(descriptor, "rb") as file:
                self._require_private(os.fstat(descriptor))
                text = file.read(_FILE_BYTES_MAX)
        try:
            return Login.model_validate_json(text)
        except ValidationError:  # what it says would quote the file
            raise CommandFailed(f"{self.file} holds no login: remove it, then `cohort login`", NOT_STARTED) from None

    def save(self, login: Login) -> None:
        """Keeps a login instead of the one before.

        Raises:
            CommandFailed: It cannot be kept.
        """
        if login.keyring:
            self._keyring.save(Tokens(access_token=login.access_token, refresh_token=login.refresh_token))
            login = login.model_copy(update=Tokens().model_dump())
        elif self._has_keyring_entry():
            self._keyring.delete()
        with self._told():
            self._make_folder()
            self._replace(login.model_dump_json(indent=1).encode() + b"\n")

    def delete(self, login: Login) -> None:
        """Forgets a login.

        Raises:
            CommandFailed: It cannot be removed.
        """
        with self._told():
            self.file.unlink(missing_ok=True)
        if login.keyring:
            self._keyring.delete()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """While the context is open, no other command is in it; waits for the one that is.

        Raises:
            CommandFailed: The lock cannot be made.
        """
        with self._told():
            self._make_folder()
            path = self._folder / "login.lock"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with self._told():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)  # gives the lock back; the file stays, for removing it would let two have one each

    def _has_keyring_entry(self) -> bool:
        try:
            before = self.described()
        except CommandFailed:  # it is about to be replaced
            return False
        return before is not None and before.keyring

    def _require_private(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise CommandFailed(f"{self.file} is no file", NOT_STARTED)
        if status.st_uid != os.geteuid():
            raise CommandFailed(f"{self.file} belongs to someone else", NOT_STARTED)
        if status.st_mode & 0o077:
            raise CommandFailed(
                f"{self.file} may be read by others, who may know the login: chmod 600 it, `cohort logout`,"
                " then `cohort login`",
                NOT_STARTED,
            )

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._folder.stat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise CommandFailed(
                f"{self._folder} belongs to someone else, or others may write to it: chmod 700 it", NOT_STARTED
            )

    def _replace(self, content: bytes) -> None:
        beside = self._folder / f".login.{secrets.token_hex(8)}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            beside.replace(self.file)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CommandFailed(f"{error.filename or self.file}: {error.strerror}", NOT_STARTED) from None


def login_store() -> LoginStore:
    """The store of whoever runs the command: `cohort/` in XDG_CONFIG_HOME, which is ~/.config if it is not set.

    Raises:
        CommandFailed: There is no home folder.
    """
    written = environment_variable("XDG_CONFIG_HOME")
    if written is not None and Path(written).is_absolute():  # a relative one is to be ignored, says its specification
        return LoginStore(Path(written) / "cohort")
    try:
        return LoginStore(Path.home() / ".config" / "cohort")
    except RuntimeError:
        raise CommandFailed("there is no home folder for a login: set XDG_CONFIG_HOME", NOT_STARTED) from None
