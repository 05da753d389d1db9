"""What can go wrong with a database, told by what it leaves behind.

StorageError                 a statement that the database refuses: rolled back, and a fault of ours
├── DatabaseUnavailable      certainly nothing of it is durable
├── CommitUncertain          it may be durable or not
├── LockTimeout              rolled back: a row was locked by someone else for too long
├── Unforeseen               rolled back: a script did not go as it was to
├── Conflict                 rolled back: a constraint was violated
└── ValueRefused             rolled back: a value that no column holds
"""


class StorageError(Exception):
    """A transaction that did not end as it should; raised itself for statements that the database does not take."""


class DatabaseUnavailable(StorageError):
    """The database cannot be used now; certainly nothing of the transaction is durable."""


class CommitUncertain(StorageError):
    """COMMIT was sent and its answer did not come, or came as an I/O error: the transaction may be durable or not."""


class LockTimeout(StorageError):
    """A row was locked by someone else for too long, or two transactions waited for each other; rolled back."""


class Unforeseen(StorageError):
    """A statement of a script found nothing to change; rolled back."""


class Conflict(StorageError):
    """A unique key, a check or another constraint was violated; rolled back."""


class ValueRefused(StorageError):
    """A value that no column holds: NUL in text, a lone surrogate, an integer beyond 64 bits; rolled back."""
