"""Access keys: their format, their making and their check.

    cohort_<environment>_<id: 12 base62 digits>_<secret: 43><checksum: 6>

The checksum (CRC-32 of all before it) lets garbage be refused, and leaked keys be found by scanners, without a
lookup. At rest stands HMAC-SHA256 under a pepper: who can read or write the hashes can neither test guesses nor
make one for a key of their own; what a key may do is not under it. 256 random bits need no slow hash.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused

PREFIX = "cohort_"
ACCESS_KEY_CHARS_MAX = 128

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARS, _SECRET_CHARS, _CHECKSUM_CHARS = 12, 43, 6
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
        self._records = {record.id: record for record in records}
        # An unknown id is compared like a known one, with somebody else's record, cold in the processor's cache as its
        # own would be: time does not tell which ids exist.
        self._decoys = tuple(self._records.values()) or (_NOBODY,)

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
        decoy = self._decoys[zlib.crc32(key_id.encode()) % len(self._decoys)]  # looked up whether it is needed or not
        record = self._records.get(key_id) or decoy
        keyed = self._peppers.get(record.pepper_version, _NO_PEPPER).copy()
        keyed.update(access_key.encode())
        known = record.id == key_id
        why = f"{_WHY[known]} {key_id}"
        genuine = hmac.compare_digest(keyed.digest(), record.digest)
        if not (known and genuine):
            raise CredentialRefused(why)
        if record.revoked:
            raise CredentialRefused(f"revoked access key {record.id}")
        if now_s >= record.expires_at_s:
            raise CredentialRefused(f"expired access key {record.id}")
        return record.principal


def create(environment: str) -> tuple[str, str]:
    """Makes a new access key and returns (its id, the whole key). The key is never stored."""
    key_id = "".join(secrets.choice(_BASE62) for _ in range(_ID_CHARS))
    # 43 digits of base62 hold 256 bits: log2(62) x 43 = 256.03.
    secret = _base62(secrets.randbits(256), _SECRET_CHARS)
    body = f"{PREFIX}{environment}_{key_id}_{secret}"
    return key_id, body + checksum_of(body)


def mint(environment: str, peppers: Mapping[str, bytes], pepper_version: str | None = None) -> MintedAccessKey:
    """Makes a new access key.

    Args:
        environment: Whose callers it is for.
        peppers: Pepper version → pepper; at least one.
        pepper_version: The one that it is to be kept under; None for the highest.
    """
    version = max(peppers, key=int) if pepper_version is None else pepper_version
    key_id, access_key = create(environment)
    return MintedAccessKey(key_id, access_key, digest_of(access_key, peppers[version]), version)


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
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_CHARS)


def _base62(number: int, digits: int) -> str:
    out: list[str] = []
    for _ in range(digits):
        number, rest = divmod(number, 62)
        out.append(_BASE62[rest])
    return "".join(reversed(out))
