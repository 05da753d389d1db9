"""How a connection to PostgreSQL is opened, what the server must be like, and what is worth a warning."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from service.storage.errors import DatabaseUnavailable
from service.storage.postgres_script import ScriptFunction

VERSION_MIN = 15
LOCK_TIMEOUT_S = 0.5
STATEMENT_TIMEOUT_S = 2.0

_CONNECT_TIMEOUT_S = 5.0
_CLOSE_TIMEOUT_S = 1.0
_WRITER = {
    "application_name": "cohort",
    "default_transaction_isolation": "read committed",
    "lock_timeout": "500ms",
    "statement_timeout": "2s",
    "idle_in_transaction_session_timeout": "500ms",
}
_READER = {
    "application_name": "cohort-reader",
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",  # compiling costs more than the largest report
    # A plan for what is asked takes 1 ms; one for anything that may be asked reads all teams where one is meant.
    "plan_cache_mode": "force_custom_plan",
    # All that is asked for has an index, and is little of a table that grows for ever. How little the quarter hours of
    # days cut by a window are, PostgreSQL cannot know beforehand: it would rather read them all, on every core.
    "enable_seqscan": "off",
    "random_page_cost": "1.1",
    # So each row is looked up by its key. Another join is at times thought cheaper, by guesses at how many rows there
    # are, and reads a whole table. What is looked up is hardly asked for twice, which is all that memoizing helps.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_memoize": "off",
    # What must be in order comes so from its index, or is a page. Groups are found by hash, which takes a little less
    # than sorting them. Those of a year by day and team have room in memory.
    "enable_sort": "off",
    "work_mem": "16MB",
    "max_parallel_workers_per_gather": "0",
}
# "on" is what an acknowledged commit needs; "remote_apply" is more, and stays.
_COMMIT_DURABLY = """SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') <> 'remote_apply'"""
# A walsender is a standby unless it serves a logical slot or a base backup; its state is NULL for a role without
# pg_read_all_stats, and then it counts.
_FACTS = """SELECT CAST(current_setting('server_version_num') AS INTEGER) / 10000,
  current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
  current_setting('fsync'), current_setting('full_page_writes'), pg_is_in_recovery(),
  (SELECT COUNT(*) FROM pg_stat_replication AS standby WHERE COALESCE(standby.state, '') <> 'backup' AND NOT EXISTS
    (SELECT 1 FROM pg_replication_slots AS slot WHERE slot.active_pid = standby.pid AND slot.slot_type = 'logical')),
  has_database_privilege(current_database(), 'TEMPORARY')
    AND EXISTS (SELECT 1 FROM pg_language WHERE lanname = 'plpgsql')"""

ASYNCPG_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""All that asyncpg raises when a server or the way to it fails; a timeout is an OSError."""


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
    makes_functions: bool

    def faults(self) -> list[str]:
        """Why the books must not be kept here."""
        faults = []
        if self.version < VERSION_MIN:
            faults.append(f"this is version {self.version}, {VERSION_MIN} or newer is needed")
        if self.in_recovery:
            faults.append("this is a standby, which takes no transactions")
        if self.synchronous_commit not in {"on", "remote_apply"}:
            faults.append(f"synchronous_commit stays {self.synchronous_commit}: a crash would forget what was spent")
        if self.standbys and not self.synchronous_standby_names:
            faults.append(
                "a standby is attached and synchronous_standby_names is empty: a failover would forget what was spent"
            )
        return faults

    def warnings(self) -> list[str]:
        """What makes a power failure lose what was acknowledged, or calls wait longer than they have to."""
        warnings = [
            f"PostgreSQL runs with {name} = off: a power failure can lose acknowledged records, or all of them"
            for name, value in (("fsync", self.fsync), ("full_page_writes", self.full_page_writes))
            if value == "off"
        ]
        if not self.makes_functions:
            warnings.append(
                "the role may not make temporary PL/pgSQL functions: a commit takes ten messages instead of one"
            )
        return warnings


@dataclass(slots=True, eq=False)
class Link:
    """A connection.

    Attributes:
        connection: asyncpg's.
        notices: What the server has said beside its answers.
        scripts: Runs scripts.
    """

    connection: Any
    notices: list[str] = field(default_factory=list)
    scripts: ScriptFunction = field(init=False)

    def __post_init__(self) -> None:
        self.scripts = ScriptFunction(self.connection)
        self.connection.add_log_listener(self._noticed)

    def _noticed(self, _: object, message: Exception) -> None:
        self.notices.append(str(message))

    async def close(self) -> None:
        """Says goodbye, or hangs up where that takes long."""
        try:
            await self.connection.close(timeout=_CLOSE_TIMEOUT_S)
        except ASYNCPG_ERRORS:
            self.connection.terminate()


async def connect_reader(url: str, password: str | None) -> Link:
    """Opens a connection that cannot write.

    Raises:
        DatabaseUnavailable: It cannot be opened.
    """
    return await _connect(url, password, _READER)


async def connect_writer(url: str, password: str | None) -> tuple[Link, list[str]]:
    """Opens the connection that writes, to a server that may be written to.

    Returns:
        The connection, and what is worth a warning.

    Raises:
        DatabaseUnavailable: It cannot be opened, or the server must not keep the books.
    """
    link = await _connect(url, password, _WRITER)
    try:
        await link.connection.execute(_COMMIT_DURABLY, timeout=_CONNECT_TIMEOUT_S)
        server = Server(*await link.connection.fetchrow(_FACTS, timeout=_CONNECT_TIMEOUT_S))
    except ASYNCPG_ERRORS as error:
        link.connection.terminate()
        raise DatabaseUnavailable(f"PostgreSQL does not say how it is set up: {error}") from error
    if faults := server.faults():
        await link.close()
        raise DatabaseUnavailable(f"PostgreSQL cannot keep the books: {'; '.join(faults)}")
    return link, server.warnings()


async def _connect(url: str, password: str | None, settings: dict[str, str]) -> Link:
    try:
        connection = await asyncpg.connect(
            url,
            password=password,
            timeout=_CONNECT_TIMEOUT_S,
            server_settings=settings,
            max_cached_statement_lifetime=0,  # our statements are constants
        )
    except (*ASYNCPG_ERRORS, ValueError) as error:  # the last from reading the URL
        raise DatabaseUnavailable(f"No connection to PostgreSQL: {type(error).__name__} {error}".rstrip()) from error
    return Link(connection)
