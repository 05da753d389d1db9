"""Ed25519 keys: the service signs checkpoints and exports with one, auditors hold its public half."""

from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

_KEY_ID_DIGITS = 16


class KeyUnusable(Exception):
    """What should be the PEM of a public key is none."""


class VerifyingKey(NamedTuple):
    """The public half of a signing key."""

    key_id: str
    """The first 16 hexadecimal digits of the SHA-256 of the raw public key; stands beside what it signed."""
    key: Ed25519PublicKey

    @classmethod
    def of(cls, key: Ed25519PublicKey) -> "VerifyingKey":
        """Names a key."""
        return cls(sha256(key.public_bytes_raw()).hexdigest()[:_KEY_ID_DIGITS], key)

    @classmethod
    def from_pem(cls, pem: bytes) -> "VerifyingKey":
        """Reads a public key.

        Raises:
            KeyUnusable: It is no PEM of an Ed25519 public key.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyUnusable("no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise KeyUnusable("not an Ed25519 key")
        return cls.of(key)

    def has_signed(self, digest: bytes, signature: bytes) -> bool:
        """Whether a signature over *digest* is this key's."""
        try:
            self.key.verify(signature, digest)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """The private half. Never in a repr, a log line or an exception."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = VerifyingKey.of(key.public_key())

    def sign(self, digest: bytes) -> bytes:
        """Signs a hash whose first bytes hashed say what it is of; 64 bytes."""
        return self._key.sign(digest)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id})"
