"""Access keys: their format, their making and their check.

    cohort_<environment>_<id: 12 base62 digits>_<secret: 43><checksum: 6>

The checksum (CRC-32 of all before it) lets garbage be refused, and leaked keys be found by scanners, without a
lookup. At rest stands HMAC-SHA256 under a pepper: who can read or write the hashes can neither test guesses nor
make one for a key of their own. 256 random bits need no slow hash.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.identity.base62 import base62, random_base62
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.request_names import RequestName
from service.identity.seals import Sealed

PREFIX = "cohort_"
ACCESS_KEY_CHARS_MAX = 128

_ID_CHARS, _SECRET_CHARS, _CHECKSUM_CHARS = 12, 43, 6
# No access key begins like this, so that no digest of one can be the key.
_PURPOSE = b"secrets of named requests"
_SHAPE = re.compile(r"cohort_([a-z0-9]{1,16})_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})", re.ASCII)

# Of a version that the config does not have: nobody knows it, so whoever writes records cannot make one that fits.
_NO_PEPPER = hmac.new(secrets.token_bytes(32), digestmod=hashlib.sha256)
_WHY = {True: "wrong secret for access key", False: "unknown access key"}


@dataclass(frozen=True, slots=True)
class AccessKeyRecord:
    """What is kept of an access key; nothing in it gives access."""

    id: str
    digest: bytes
    pepper_version: str
    principal: Principal
    expires_at_s: float
    revoked: bool = False
    sealed: Sealed | None = field(default=None, repr=False)
    """The row's seal; None in a record that is of no row."""


_NOBODY = AccessKeyRecord("", bytes(32), "", Principal("", "", frozenset(), "access_key", ""), 0.0)


class MintedAccessKey(NamedTuple):
    """An access key that was just made, of which nobody knows."""

    id: str
    access_key: str
    """The whole key: for whoever asked for it, once."""
    digest: bytes
    pepper_version: str

    def __repr__(self) -> str:
        return f"<access key {self.id}>"


class AccessKeys:
    """Checks access keys against an immutable list of records.

    Args:
        environment: The environment whose keys are accepted.
        peppers: Pepper version → pepper.
        records: One per access key.
    """

    def __init__(self, environment: str, peppers: Mapping[str, bytes], records: Iterable[AccessKeyRecord]) -> None:
        self._environment = environment
        # Copied for each check: `hmac.digest` lets go of the interpreter each time, which other threads take.
        self._peppers = {version: hmac.new(pepper, digestmod=hashlib.sha256) for version, pepper in peppers.items()}
        self._bins = _bins_of({record.id: record for record in records})

    def principal_of(self, access_key: str, now_s: float) -> Principal:
        """Turns an access key into who presents it.

        Args:
            access_key: As received.
            now_s: The time, Unix seconds.

        Raises:
            CredentialRefused: Malformed, of another environment, unknown, revoked, or expired.
        """
        environment, key_id = parsed(access_key)
        if environment != self._environment:
            raise CredentialRefused("access key of another environment")
        candidates = self._bins[zlib.crc32(key_id.encode()) % len(self._bins)]
        record = candidates[0]
        for each in candidates:
            record = (record, each)[each.id == key_id]
        keyed = self._peppers.get(record.pepper_version, _NO_PEPPER).copy()
        keyed.update(access_key.encode())
        known = record.id == key_id
        why = f"{_WHY[known]} {key_id}"
        genuine = hmac.compare_digest(keyed.digest(), record.digest)
        if not known & genuine:
            raise CredentialRefused(why)
        if record.revoked:
            raise CredentialRefused(f"revoked access key {record.id}")
        if now_s >= record.expires_at_s:
            raise CredentialRefused(f"expired access key {record.id}")
        return record.principal


def _bins_of(records: Mapping[str, AccessKeyRecord]) -> tuple[tuple[AccessKeyRecord, ...], ...]:
    """The records by the checksum of their id, as many in each bin.

    Not a dict: time tells whether it has what it is asked for. Here an unknown id takes the steps of a known one, with
    somebody else's records, as cold in the processor's cache as its own would be.
    """
    all_of_them = tuple(records.values()) or (_NOBODY,)
    bins: list[list[AccessKeyRecord]] = [[] for _ in range(len(all_of_them))]
    for key_id, record in records.items():
        bins[zlib.crc32(key_id.encode()) % len(bins)].append(record)
    deepest = max(1, *map(len, bins))
    for index, some in enumerate(bins):
        some.extend(all_of_them[(index + more) % len(all_of_them)] for more in range(deepest - len(some)))
    return tuple(map(tuple, bins))


def create(environment: str) -> tuple[str, str]:
    """Makes a new access key and returns (its id, the whole key). The key is never stored."""
    key_id = random_base62(_ID_CHARS)
    return key_id, _whole(environment, key_id, secrets.randbits(256))


def mint(
    environment: str, peppers: Mapping[str, bytes], pepper_version: str, named: RequestName | None = None
) -> MintedAccessKey:
    """Makes a new access key.

    Args:
        environment: Whose callers it is for.
        peppers: Pepper version → pepper; at least one.
        pepper_version: The one that it is to be kept under.
        named: Who asks for it, if they gave the request a name: the key follows from the request and the pepper, and
            is the same one whenever it is asked for. Without it nobody can make it again.
    """
    pepper = peppers[pepper_version]
    if named is None:
        key_id, access_key = create(environment)
    else:
        key_id = named.id(_ID_CHARS)
        key = hmac.digest(pepper, _PURPOSE, hashlib.sha256)
        secret = int.from_bytes(hmac.digest(key, b"%b %b" % (environment.encode(), named.text), hashlib.sha256))
        access_key = _whole(environment, key_id, secret)
    return MintedAccessKey(key_id, access_key, digest_of(access_key, pepper), pepper_version)


def parsed(access_key: str) -> tuple[str, str]:
    """The environment and the id that an access key bears.

    Raises:
        CredentialRefused: It is malformed.
    """
    found = _SHAPE.fullmatch(access_key) if len(access_key) <= ACCESS_KEY_CHARS_MAX else None
    if found is None or access_key[-_CHECKSUM_CHARS:] != checksum_of(access_key[:-_CHECKSUM_CHARS]):
        raise CredentialRefused("malformed access key")
    return found[1], found[2]


def digest_of(access_key: str, pepper: bytes) -> bytes:
    """HMAC-SHA256 of the whole access key: what is kept instead of it (32 bytes)."""
    return hmac.digest(pepper, access_key.encode(), hashlib.sha256)


def checksum_of(text: str) -> str:
    """CRC-32 in six base62 digits."""
    return base62(zlib.crc32(text.encode()), _CHECKSUM_CHARS)


def _whole(environment: str, key_id: str, secret: int) -> str:
    # 43 digits of base62 hold 256 bits: log2(62) x 43 = 256.03.
    body = f"{PREFIX}{environment}_{key_id}_{base62(secret, _SECRET_CHARS)}"
    return body + checksum_of(body)
