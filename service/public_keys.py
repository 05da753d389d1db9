"""Public keys: which fit an algorithm of JWTs, and the one form in which those of service accounts are kept."""

from typing import Final, NamedTuple, TypeAlias, TypeGuard

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

PublicKey: TypeAlias = RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey

_RSA_BITS_MIN, _RSA_BITS_MAX = 2048, 8192
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES: Final = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}
JWT_ALGORITHMS: Final = frozenset({*_RSA, *_CURVES, "EdDSA"})
"""All that JWTs may be signed with, by whichever issuer."""

ALGORITHMS = ("EdDSA", "ES256")
"""Of service accounts."""
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


def fits(key: object, algorithm: str) -> TypeGuard[PublicKey]:
    """Whether a public key, of any kind there is, is what signatures of an algorithm are checked with."""
    match key:
        case RSAPublicKey():
            return algorithm in _RSA and _RSA_BITS_MIN <= key.key_size <= _RSA_BITS_MAX
        case ec.EllipticCurvePublicKey():
            curve = _CURVES.get(algorithm)
            return curve is not None and isinstance(key.curve, curve)
        case Ed25519PublicKey():
            return algorithm == "EdDSA"
        case _:
            return False


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
