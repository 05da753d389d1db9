"""The tokens of a login in the operating system's keyring, where the extra `keyring` is installed."""

import importlib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.cli.commands import NOT_STARTED, CommandFailed

_SERVICE = "cohort"
_PRIORITY_MIN = 1
"""What works and is safe says 1 or more; keyrings that fail, forget or write plain text say less."""


class Tokens(BaseModel):
    """What gives access."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    access_token: str = Field(default="", repr=False, pattern=r"^[!-~]*$")
    """One word, as what stands in metadata has to be."""
    refresh_token: str | None = Field(default=None, repr=False)


class Keyring:
    """One entry of the keyring.

    Args:
        entry: Its name.
    """

    def __init__(self, entry: str) -> None:
        self._entry = entry

    def load(self) -> Tokens:
        """What is kept.

        Raises:
            CommandFailed: They are not there, or there is no keyring.
        """
        text = self._do("get_password")
        if text is None:
            raise CommandFailed("the keyring has forgotten the login: `cohort login` again", NOT_STARTED)
        try:
            return Tokens.model_validate_json(text)
        except ValidationError:  # what it says would quote the tokens
            raise CommandFailed("the keyring holds no login: `cohort login` again", NOT_STARTED) from None

    def save(self, tokens: Tokens) -> None:
        """Keeps them.

        Raises:
            CommandFailed: It cannot.
        """
        self._do("set_password", tokens.model_dump_json())

    def delete(self) -> None:
        """Forgets them.

        Raises:
            CommandFailed: It cannot.
        """
        if self._do("get_password") is not None:
            self._do("delete_password")

    def _do(self, method: str, *value: str) -> Any:
        backend = working_backend()
        try:
            return getattr(backend, method)(_SERVICE, self._entry, *value)
        except Exception as error:  # backends raise what they like, and might quote what they were given
            raise CommandFailed(f"the keyring refuses: {type(error).__name__}", NOT_STARTED) from None


def working_backend() -> Any:
    """The keyring that works here.

    Raises:
        CommandFailed: The extra is not installed, or no keyring can be reached.
    """
    try:
        backend = importlib.import_module("keyring").get_keyring()
    except ImportError:
        raise CommandFailed("the keyring needs `pip install cohort[keyring]`", NOT_STARTED) from None
    if backend.priority < _PRIORITY_MIN:
        raise CommandFailed(
            "no keyring of the operating system can be reached; without --keyring the login is kept in a file"
            " that only you may read",
            NOT_STARTED,
        )
    return backend
