"""How a connection to PostgreSQL is opened, what the server must be like, and what is worth a warning."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from service.storage.errors import DatabaseUnavailable

VERSION_MIN = 15
CONNECT_TIMEOUT_S = 5.0
LOCK_TIMEOUT_S = 0.5
STATEMENT_TIMEOUT_S = 2.0
_SHARED = {
    "application_name": "cohort",
    "client_encoding": "UTF8",
    "jit": "off",  # compiling costs more than the largest report
}
_WRITER = {
    "default_transaction_isolation": "read committed",
    "lock_timeout": "500ms",
    "statement_timeout": "2s",
    "idle_in_transaction_session_timeout": "500ms",
}
_READER = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}
# "on" is what an acknowledged commit needs; "remote_apply" is more, and stays.
_COMMIT_DURABLY = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply'"
)
# A walsender is a standby unless it serves a logical slot or a base backup; without pg_read_all_stats its state is NULL.
_FACTS = """SELECT current_setting('server_version_num'), current_setting('synchronous_commit'),
  current_setting('synchronous_standby_names'), current_setting('fsync'), current_setting('full_page_writes'),
  pg_is_in_recovery(),
  (SELECT COUNT(*) FROM pg_stat_replication AS standby WHERE COALESCE(standby.state, '') <> 'backup' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots AS slot WHERE slot.active_pid = standby.pid AND slot.slot_type = 'logical'))"""


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself."""

    version: int
    synchronous_commit: str
    synchronous_standby_names: str
    fsync: str
    full_page_writes: str
    in_recovery: bool
    standbys: int

    def faults(self) -> list[str]:
        """Why the books must not be kept here."""
        faults = []
        if self.version < VERSION_MIN:
            faults.append(f"PostgreSQL {VERSION_MIN} or newer is needed, this is {self.version}")
        if self.in_recovery:
            faults.append("it is a standby, which takes no transactions")
        if self.synchronous_commit not in {"on", "remote_apply"}:
            faults.append(f"synchronous_commit stays {self.synchronous_commit!r}: a crash would forget spending")
        if self.standbys and not self.synchronous_standby_names:
            faults.append(
                "a standby is attached but synchronous_standby_names is empty: a failover would forget spending"
            )
        return faults

    def warnings(self) -> list[str]:
        """What makes a power failure lose what was acknowledged."""
        return [
            f"PostgreSQL runs with {name} = off: a power failure can lose acknowledged records or the whole database"
            for name, value in (("fsync", self.fsync), ("full_page_writes", self.full_page_writes))
            if value == "off"
        ]


async def connect(url: str, password: str | None, *, writes: bool) -> Any:
    """Opens an asyncpg connection.

    Raises:
        DatabaseUnavailable: It cannot be opened.
    """
    try:
        return await asyncpg.connect(
            url,
            password=password,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={**_SHARED, **(_WRITER if writes else _READER)},
            max_cached_statement_lifetime=0,
        )
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnavailable(f"No connection to PostgreSQL: {error or type(error).__name__}") from error


async def connect_writer(url: str, password: str | None) -> tuple[Any, list[str]]:
    """Opens the connection that writes, to a server that may be written to.

    Returns:
        The connection, and what is worth a warning.

    Raises:
        DatabaseUnavailable: It cannot be opened, or the server must not keep the books.
    """
    connection = await connect(url, password, writes=True)
    try:
        await connection.execute(_COMMIT_DURABLY)
        number, *facts = await connection.fetchrow(_FACTS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        connection.terminate()
        raise DatabaseUnavailable(f"PostgreSQL does not say how it is set up: {error}") from error
    server = Server(int(number) // 10_000, *facts)
    if faults := server.faults():
        connection.terminate()
        raise DatabaseUnavailable(f"PostgreSQL cannot keep the books: {'; '.join(faults)}")
    return connection, server.warnings()
