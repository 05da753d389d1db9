"""A JSON Web Key Set (RFC 7517) → the keys that an issuer's tokens may be signed with, and no others.

A key that is not for signatures, not public alone, too weak, or of a kind that no allowed algorithm uses is left out,
as is one that cannot be read: it says nothing about the rest of the set.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import jwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.public_keys import PublicKey, fits

KEYS_MAX = 100
_READERS: Mapping[str, Any] = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}

Keys: TypeAlias = Mapping[str, Mapping[str | None, PublicKey]]
"""Algorithm → key id → key. The one without an id is under None, if it is the only key of that algorithm at all."""


def keys_of(document: Mapping[str, Any], algorithms: Collection[str]) -> Keys:
    """The keys of a set by algorithm and id.

    Args:
        document: The parsed set.
        algorithms: The only ones that count.

    Raises:
        ValueError: It is no key set, or has too many keys.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("no key set")  # noqa: TRY004 (one kind of error for all that cannot be used)
    if len(entries) > KEYS_MAX:
        raise ValueError(f"more than {KEYS_MAX} keys")
    usable = [(entry, key) for entry in entries if (key := _key(entry)) is not None]
    return {algorithm: _by_id(algorithm, usable) for algorithm in algorithms}


def _by_id(algorithm: str, usable: list[tuple[dict[str, Any], Any]]) -> dict[str | None, PublicKey]:
    fitting = [(entry.get("kid"), key) for entry, key in usable if _is_for(entry, key, algorithm)]
    found: dict[str | None, PublicKey] = {}
    twice: set[str] = set()
    for kid, key in fitting:
        if isinstance(kid, str):
            if kid in found:
                twice.add(kid)
            found[kid] = key
    for kid in twice:  # which of them is meant cannot be told
        del found[kid]
    if len(fitting) == 1:
        found[None] = fitting[0][1]
    return found


def _is_for(entry: dict[str, Any], key: object, algorithm: str) -> bool:
    return entry.get("alg", algorithm) == algorithm and fits(key, algorithm)


def _key(entry: object) -> Any:
    """The key of an entry, or None if no signature may be checked with it; one that is private fits no algorithm."""
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    kind = entry.get("kty")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        return None
    try:
        return reader.from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):  # members of any type and value
        return None
