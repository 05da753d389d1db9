"""Verifies the books where they are kept, in one snapshot, while they are written to."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from service.books.signing import VerifyingKey
from service.books.verification.findings import Finding, Report
from service.books.verification.verifier import Verifier
from service.books.walk import Readable, Walk


async def verify_database(
    database: Readable,
    files: Mapping[str, Iterable[bytes]],
    keys: Sequence[VerifyingKey],
    told: Callable[[Finding], object],
) -> Report:
    """Verifies all of the books.

    Args:
        database: Where they are kept; only read.
        files: The lines of outside files of checkpoints, by name.
        keys: Who may have signed.
        told: Called with each finding; on SQLite in the thread of the database.

    Raises:
        StorageError: The database cannot be read.
    """
    with Verifier(told, keys, is_whole=True) as verifier:
        for name, kept in files.items():
            verifier.take_file(name, kept)
        await Walk(verifier.begin, verifier.take, verifier.unreadable).over(database)
        return verifier.finish()
