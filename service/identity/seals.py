"""Seals: an HMAC over all that a row grants, so that a database which others write grants nothing by itself.

Made under a key of each pepper, when a row is written; held against the row when the directory is read, never at a
call. Not sealed: the day of the last use and the successor's id, which open nothing. A revocation takes the seal with
it, so that the row does not come back with its time set to 0.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from service.storage.database import Value

UNSEALED = b""
"""What stands where a seal was."""

# No access key begins like this, so that no digest of one can be the key.
_PURPOSE = b"seals of who may call"


class Sealed(NamedTuple):
    """A row's seal, and what it has to fit."""

    text: bytes
    pepper_version: str
    seal: bytes


class Seals:
    """Seals rows.

    Args:
        peppers: Pepper version → pepper.
        current: The version that new rows are sealed under; "" where there are none.
    """

    def __init__(self, peppers: Mapping[str, bytes], current: str = "") -> None:
        self.current = current
        self._keys = {version: hmac.digest(pepper, _PURPOSE, hashlib.sha256) for version, pepper in peppers.items()}

    def knows(self, pepper_version: str) -> bool:
        """Whether there is a pepper of this version."""
        return pepper_version in self._keys

    def of(self, text: bytes, pepper_version: str) -> bytes:
        """The seal of a row, of a version that is known (32 bytes)."""
        return hmac.digest(self._keys[pepper_version], text, hashlib.sha256)

    def fit(self, sealed: Sealed) -> bool:
        """Whether a row stands as it was sealed."""
        if not self.knows(sealed.pepper_version):
            return False
        return hmac.compare_digest(self.of(sealed.text, sealed.pepper_version), sealed.seal)


def text_of(table: str, *values: Value) -> bytes:
    """What is sealed of a row: the table's name and the values, in an order that is the table's."""
    return orjson.dumps([table, *(value.hex() if isinstance(value, bytes) else value for value in values)])
