"""What each kind of error of PostgreSQL means to the caller."""

import asyncpg
import pytest

from service.storage.errors import Conflict, DatabaseUnavailable, LockTimeout, StorageError, ValueRefused
from service.storage.postgres_transaction import storage_error


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", DatabaseUnavailable),  # connection failure
        ("0A000", DatabaseUnavailable),  # cached plan must not change result type
        ("22003", ValueRefused),  # out of range
        ("22021", ValueRefused),  # NUL in text
        ("23505", Conflict),  # unique
        ("23514", Conflict),  # check
        ("25006", DatabaseUnavailable),  # read-only
        ("25P03", DatabaseUnavailable),  # idle in transaction
        ("40001", LockTimeout),  # serialization
        ("40P01", LockTimeout),  # deadlock
        ("42601", StorageError),  # syntax
        ("42501", StorageError),  # privilege
        ("53100", DatabaseUnavailable),  # disk full
        ("53200", DatabaseUnavailable),  # memory
        ("53300", DatabaseUnavailable),  # too many connections
        ("55P03", LockTimeout),  # lock not available
        ("57014", DatabaseUnavailable),  # statement timeout
        ("57P01", DatabaseUnavailable),  # shutdown
        ("58030", DatabaseUnavailable),  # I/O
        ("XX001", DatabaseUnavailable),  # corruption
    ],
)
def test_an_error_of_the_server_says_what_is_left_behind(state: str, kind: type[StorageError]) -> None:
    error = asyncpg.PostgresError.new({"S": "ERROR", "C": state, "M": "what happened"})

    told = storage_error(error)
    assert type(told) is kind
    assert state in str(told)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionResetError("reset"), DatabaseUnavailable),
        (TimeoutError(), DatabaseUnavailable),
        (asyncpg.InternalClientError("unexpected"), DatabaseUnavailable),
        (asyncpg.InterfaceError("the server expects 2 arguments"), StorageError),
        (TypeError("a fault of ours"), StorageError),
    ],
)
def test_an_error_of_the_client_says_what_is_left_behind(error: Exception, kind: type[StorageError]) -> None:
    assert type(storage_error(error)) is kind
