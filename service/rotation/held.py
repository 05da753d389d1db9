"""Cohere keys that Cohort keeps itself: sealed so that the database alone gives none away, nor one in another's place.

An envelope (AES-256-GCM, NIST SP 800-38D) holds the value under a data key of its own, and the data key under a key
encryption key (KEK) that is not in the database. Both are bound to table, team and version.
"""

import secrets
from collections.abc import Mapping
from typing import NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEK_BYTES = 32
_DATA_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
_WRAPPED_BYTES = _NONCE_BYTES + _DATA_KEY_BYTES + _TAG_BYTES
_FORMAT = 1
_HEAD_BYTES = 2
"""The format, and the length of the KEK's version, which follows."""


class CannotOpen(Exception):
    """An envelope that does not open. Says why, never what is in it."""


class Place(NamedTuple):
    """Where an envelope belongs: in another row it does not open."""

    team: str
    version: int

    def bound_to(self, kek_version: str) -> bytes:
        """The additional data of both seals."""
        return orjson.dumps(["cohere_key_version", self.team, self.version, kek_version])


class Envelopes:
    """Seals values, and opens what was sealed.

    Args:
        keks: KEK version → KEK, of `KEK_BYTES` bytes.
        current: The version that new envelopes are sealed under; "" where there are none.
    """

    __slots__ = ("_keks", "current")

    def __init__(self, keks: Mapping[str, bytes], current: str = "") -> None:
        self._keks = {version: AESGCM(kek) for version, kek in keks.items()}
        self.current = current

    def seal(self, value: str, place: Place) -> bytes:
        """Makes the envelope of a value under the current KEK.

        Raises:
            CannotOpen: There is no KEK.
        """
        kek = self._keks.get(self.current)
        if kek is None:
            raise CannotOpen("the config names no key encryption key: secrets.held.keks")
        bound_to, version = place.bound_to(self.current), self.current.encode()
        data_key = AESGCM.generate_key(_DATA_KEY_BYTES * 8)
        head = bytes([_FORMAT, len(version)]) + version
        return head + _sealed(kek, data_key, bound_to) + _sealed(AESGCM(data_key), value.encode(), bound_to)

    def open(self, envelope: bytes, place: Place) -> str:
        """The value of an envelope.

        Raises:
            CannotOpen: It is of another row, of a KEK that is not there, or not as it was sealed.
        """
        kek_version = kek_version_of(envelope)
        kek = self._keks.get(kek_version)
        if kek is None:
            raise CannotOpen(f"sealed under the key encryption key {kek_version!r}, which the config does not name")
        bound_to = place.bound_to(kek_version)
        start = _HEAD_BYTES + len(kek_version)
        wrapped, sealed = envelope[start : start + _WRAPPED_BYTES], envelope[start + _WRAPPED_BYTES :]
        try:
            return _opened(AESGCM(_opened(kek, wrapped, bound_to)), sealed, bound_to).decode()
        except (InvalidTag, ValueError):
            raise CannotOpen("not as it was sealed, or of another row, or under another key encryption key") from None

    def is_current(self, envelope: bytes) -> bool:
        """Whether an envelope is sealed under the KEK that new ones are sealed under."""
        return kek_version_of(envelope) == self.current

    def __repr__(self) -> str:
        return f"<Envelopes under {self.current!r}>"


def kek_version_of(envelope: bytes) -> str:
    """The version of the KEK that an envelope says it is sealed under.

    Raises:
        CannotOpen: It says none.
    """
    if len(envelope) < _HEAD_BYTES or envelope[0] != _FORMAT:
        raise CannotOpen("no envelope of a format that is known")
    version = envelope[_HEAD_BYTES : _HEAD_BYTES + envelope[1]]
    if not version.isalnum():
        raise CannotOpen("no envelope of a format that is known")
    return version.decode()


def _sealed(key: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, bound_to)


def _opened(key: AESGCM, sealed: bytes, bound_to: bytes) -> bytes:
    return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
