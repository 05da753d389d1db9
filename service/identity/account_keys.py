"""The public keys of service accounts: which are taken, and the one form in which they are kept."""

from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from service.identity.jwt_checks import PublicKey, fits

ALGORITHMS = ("EdDSA", "ES256")
PEM_CHARS_MAX = 1_000
"""Twice what the largest of them takes, with the line ends of any system."""


class PublicKeyRefused(Exception):
    """A key that no account may have; says what it has to be, and nothing of what it is."""


class AccountKey(NamedTuple):
    """The public key of a service account."""

    key: PublicKey
    algorithm: str
    """EdDSA or ES256."""
    pem: str
    """SubjectPublicKeyInfo, as it is kept: one form for each key."""


def public_key_of(pem: str) -> AccountKey:
    """Reads a public key.

    Raises:
        PublicKeyRefused: It is not one, or not of a kind that is taken.
    """
    if "PRIVATE KEY" in pem:
        raise PublicKeyRefused("holds a private key, which must stay with the caller: use another key")
    if len(pem) > PEM_CHARS_MAX or pem.count("-----BEGIN ") != 1 or "-----BEGIN PUBLIC KEY-----" not in pem:
        raise PublicKeyRefused("must be one public key, PEM (SubjectPublicKeyInfo)")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyRefused("must be one public key, PEM (SubjectPublicKeyInfo)") from None
    for algorithm in ALGORITHMS:
        if fits(key, algorithm):
            text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            return AccountKey(key, algorithm, text)
    raise PublicKeyRefused("must be an Ed25519 or a P-256 key")
