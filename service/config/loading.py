"""Reads a config file and checks it whole: every error is reported at once, with its path.

Secrets are never written in the file, only referred to (`env:NAME`, `file:PATH`, for Cohere keys others too);
relative paths count from the file's folder.
"""

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from pydantic import ValidationError

from clients.errors import SecretMissing
from clients.secrets.env import EnvKeySource
from clients.secrets.file import FileKeySource
from clients.secrets.key_source import KeySource
from clients.secrets.reference import Reference
from clients.secrets.source import SecretSource, source_of
from service.config.cross_checks import cross_problems_of
from service.config.problems import ConfigError
from service.config.sections import Config
from service.config.values import SQLITE

CONFIG_FILE_DEFAULT = Path("/etc/cohort/cohort.toml")
_ACCESS_KEYS = "access_keys: kept in the database; `cohort keys import` takes these over, and out of here"


class LoadedConfig:
    """A Config with what is needed to use it: where it came from and where its references lead."""

    def __init__(self, config: Config, *, file: Path, environ: Mapping[str, str]) -> None:
        self.config = config
        self.file = file
        self._environ = environ

    def secret(self, reference: str) -> SecretSource:
        """The source a reference of this config names."""
        return source_of(reference, environ=self._environ, folder=self.file.parent)

    def local_key_source(self, reference: Reference) -> KeySource:
        """The source that an `env:` or a `file:` of this config names."""
        if reference.kind == "env":
            return EnvKeySource(reference, self._environ)
        return FileKeySource(reference, self.file.parent)

    def path(self, path: Path) -> Path:
        """A path of this config, counted from the file's folder."""
        return self.file.parent / path

    def database_url(self) -> str:
        """Where the books are kept: `sqlite:` with an absolute path, or `postgresql://`."""
        path = self.database_path()
        return self.config.books.database if path is None else f"{SQLITE}{path}"

    def database_path(self) -> Path | None:
        """The absolute path of SQLite's file, or None where the books are kept in PostgreSQL."""
        url = self.config.books.database
        return self.path(Path(url.removeprefix(SQLITE))).absolute() if url.startswith(SQLITE) else None

    def database_password(self) -> str | None:
        """PostgreSQL's password, or None where the config names none.

        Raises:
            ConfigError: It cannot be read.
        """
        reference = self.config.books.database_password
        if reference is None:
            return None
        try:
            return self.secret(reference).read()
        except SecretMissing as missing:
            raise ConfigError([f"books.database_password: {missing}"]) from None


def load(file: Path, environ: Mapping[str, str] = os.environ, *, with_access_keys: bool = False) -> LoadedConfig:
    """Reads and checks a config file.

    Args:
        file: Where it lies.
        environ: The environment that it may refer to.
        with_access_keys: Overlooks tables of access keys, which belong into the database: for who takes them there.

    Raises:
        ConfigError: With every problem found.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError([f"{file}: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from None
    contradictions = cross_problems_of(document)
    if document.pop("access_keys", None) is not None and not with_access_keys:
        contradictions.append(_ACCESS_KEYS)
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        problems = [_problem(finding["loc"], finding["msg"]) for finding in error.errors()]
        raise ConfigError([*problems, *contradictions]) from None
    if contradictions:
        raise ConfigError(contradictions)
    return LoadedConfig(config, file=file, environ=environ)


def config_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the config lies unless a command says so: what COHORT_CONFIG names, or `CONFIG_FILE_DEFAULT`."""
    return Path(environ.get("COHORT_CONFIG") or CONFIG_FILE_DEFAULT)


def environment_variable(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """A variable that the commands know, such as a caller's COHORT_ACCESS_KEY; None if it is unset or empty."""
    return environ.get(name) or None


def _problem(path: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in path)}: {message}" if path else message
