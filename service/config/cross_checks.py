"""What only two settings together can get wrong.

Looks at the config as written, not as parsed, so that these problems are told beside those of single settings,
all at once; what has the wrong form is told there. Values are not repeated: a misplaced one may be a secret.
"""

from collections.abc import Iterator
from typing import Any

from service.address import host_of, is_loopback


def cross_problems_of(document: dict[str, Any]) -> list[str]:
    """All contradictions in a config file, as `path: what is wrong`."""
    return [
        *_access_key_problems(document),
        *_transport_security_problems(document),
        *_secret_problems(document),
        *_books_problems(document),
    ]


def _access_key_problems(document: dict[str, Any]) -> Iterator[str]:
    teams, peppers = _table(document, "teams"), _table(document, "peppers")
    seen: set[str] = set()
    keys = document.get("access_keys")
    for place, key in enumerate(keys if isinstance(keys, list) else []):
        if not isinstance(key, dict):
            continue
        key_id, team, digest = (key.get(name) for name in ("id", "team", "hash"))
        if isinstance(key_id, str) and key_id in seen:
            yield f"access_keys.{place}.id: another access key has this id"
        seen.add(str(key_id))
        if isinstance(team, str) and team not in teams:
            yield f"access_keys.{place}.team: no team has this name"
        if isinstance(digest, str) and ":" in digest and digest.partition(":")[0] not in peppers:
            yield f"access_keys.{place}.hash: no pepper has its version"


def _transport_security_problems(document: dict[str, Any]) -> Iterator[str]:
    server = _table(document, "server")
    listen = server.get("listen")
    if (
        not isinstance(listen, str)
        or ":" not in listen
        or "tls" in server
        or server.get("plaintext_off_loopback") is True
    ):
        return
    if not is_loopback(host_of(listen)):
        advice = "configure server.tls, or say server.plaintext_off_loopback = true"
        yield f"server.listen: other machines reach this address; {advice}"


def _secret_problems(document: dict[str, Any]) -> Iterator[str]:
    """Whoever holds a secret for one purpose must not thereby hold it for another."""
    used = {
        "audit.hmac_key": _table(document, "audit").get("hmac_key"),
        "audit.signing_key": _table(document, "audit").get("signing_key"),
        "books.database_password": _table(document, "books").get("database_password"),
        **{f"peppers.{version}": reference for version, reference in _table(document, "peppers").items()},
    }
    first_use: dict[str, str] = {}
    for place, reference in used.items():
        if isinstance(reference, str) and first_use.setdefault(reference, place) != place:
            yield f"{place}: needs a secret of its own, not that of {first_use[reference]}"


def _books_problems(document: dict[str, Any]) -> Iterator[str]:
    books = _table(document, "books")
    database = books.get("database", "sqlite:")
    if isinstance(database, str) and database.startswith("sqlite:") and "database_password" in books:
        yield "books.database_password: a SQLite file has none"
    if isinstance(database, str) and database == f"sqlite:{_table(document, 'audit').get('checkpoint_file')}":
        yield "audit.checkpoint_file: this is the database"


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}
