"""The [books] and [audit] of a config made for a test, with keys of their own beside it."""

import hashlib
import secrets
from pathlib import Path

from service.audit_keys import new_signing_key


def books_lines(folder: Path, *, database: str = "sqlite:cohort.db", more: str = "", audit: str = "") -> str:
    """Writes the audit's keys into *folder* and gives the two tables.

    Args:
        folder: Where the config lies.
        database: Where the books are kept.
        more: More lines of [books].
        audit: More lines of [audit].
    """
    # Replicas of one database have one: they know Cohere keys by it.
    shared = hashlib.sha256(database.encode()).hexdigest()
    hmac_key = secrets.token_hex(32) if database.startswith("sqlite") else shared
    made = {"audit-hmac.key": lambda: hmac_key, "audit-signing.key": new_signing_key}
    for name, make in made.items():
        if not (folder / name).exists():
            (folder / name).write_text(make())
    return (
        f'[books]\ndatabase = "{database}"\nballast_mib = 0\n{more}\n'
        '[audit]\nhmac_key = "file:audit-hmac.key"\nsigning_key = "file:audit-signing.key"\n'
        f"{audit}\n"
    )
