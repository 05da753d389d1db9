"""Takes a changed config into force whole or not at all, without dropping a call."""

from collections.abc import Callable
from pathlib import Path

import structlog

from service import config
from service.config import Config, ConfigError
from service.snapshot import Snapshot, snapshot_of
from service.watch import stamp_of

_log = structlog.get_logger()


class Reloader:
    """Holds the snapshot in force.

    Args:
        snapshot: The first one.
        taking_over: Told of each later one just before it comes into force; a ConfigError of it keeps it out.

    Attributes:
        seen: What the files of the first one were; a start may take long, and they may be changed meanwhile.
    """

    def __init__(self, snapshot: Snapshot, taking_over: Callable[[Snapshot], object]) -> None:
        self.snapshot = snapshot
        self._taking_over = [taking_over]
        self.seen = stamp_of(self.config_files())

    def ask_first(self, taking_over: Callable[[Snapshot], object]) -> None:
        """Has somebody told before all others, for it may not be able to."""
        self._taking_over.insert(0, taking_over)

    def reload(self) -> bool:
        """Reads the config again; True if it is in force now.

        A config that is wrong, or that changes what only a restart can change, leaves the old one in force and
        says so in the log.
        """
        before = self.snapshot.loaded
        try:
            # The environment of a running process does not change; it is read again for its references' sake.
            loaded = config.load(before.file)
            _require_no_restart(before.config, loaded.config)
            snapshot = snapshot_of(loaded, self.snapshot)
            for taking_over in self._taking_over:
                taking_over(snapshot)
        except ConfigError as error:
            _log.error("reload refused", problems=error.problems)
            return False
        self.snapshot = snapshot
        _log.info("reloaded", teams=len(self.snapshot.clients))
        return True

    def config_files(self) -> list[Path]:
        """The files whose change calls for a reload: the config, its prices, peppers and client secrets."""
        loaded = self.snapshot.loaded
        client_secrets = (issuer.client_secret for issuer in loaded.config.identity.issuers.values())
        references = [*loaded.config.peppers.values(), *filter(None, client_secrets)]
        secrets = (loaded.secret(reference).path for reference in references)
        prices = [] if loaded.config.books.prices is None else [loaded.path(loaded.config.books.prices)]
        return [loaded.file, *prices, *(path for path in secrets if path is not None)]


def _require_no_restart(before: Config, after: Config) -> None:
    def fixed(one: Config) -> dict[str, object]:
        cohere = one.cohere.model_dump(exclude={"base_url", "pacing", "vaults", "sandbox"})
        return {
            "server": one.server.model_dump(exclude={"in_flight_max"}),
            "metrics": one.metrics,
            "tracing": one.tracing,
            "cohere": cohere,
            "books.database": one.books.database,
            "books.database_password": one.books.database_password,
            "books.ballast_mib": one.books.ballast_mib,
            "books.strict": one.books.strict,
            "audit": one.audit,
            "secrets": one.secrets,
        }

    old, new = fixed(before), fixed(after)
    problems = [f"{section}: a change needs a restart" for section in old if old[section] != new[section]]
    if problems:
        raise ConfigError(problems)
