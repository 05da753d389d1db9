"""The two keys of the audit trail: made, and read and checked at the start."""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from clients.errors import SecretMissing
from service.config import ConfigError, LoadedConfig

HMAC_KEY_BYTES_MIN = 32


@dataclass(frozen=True, slots=True, repr=False)
class AuditKeys:
    """What the audit trail is made with.

    Attributes:
        hmac_key: Content is recorded as its HMAC-SHA256 under this key; at least `HMAC_KEY_BYTES_MIN` bytes.
        signing_key: Signs the checkpoints.
    """

    hmac_key: bytes
    signing_key: Ed25519PrivateKey


def new_signing_key() -> str:
    """Makes a private key that signs checkpoints, as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def audit_keys_of(loaded: LoadedConfig) -> AuditKeys:
    """Reads the keys that a config refers to.

    Raises:
        ConfigError: With every reason why they cannot be used.
    """
    problems: list[str] = []
    hmac_key = _hmac_key(loaded, problems)
    signing_key = _signing_key(loaded, problems)
    if signing_key is None or problems:
        raise ConfigError(problems)
    return AuditKeys(hmac_key, signing_key)


def _hmac_key(loaded: LoadedConfig, problems: list[str]) -> bytes:
    try:
        key = loaded.secret(loaded.config.audit.hmac_key).read().encode()
    except SecretMissing as missing:
        problems.append(f"audit.hmac_key: {missing}")
        return b""
    if len(key) < HMAC_KEY_BYTES_MIN:
        problems.append(f"audit.hmac_key: shorter than {HMAC_KEY_BYTES_MIN} characters, so it could be guessed")
    return key


def _signing_key(loaded: LoadedConfig, problems: list[str]) -> Ed25519PrivateKey | None:
    try:
        pem = loaded.secret(loaded.config.audit.signing_key).read_block().encode()
        key = load_pem_private_key(pem, password=None)
    except SecretMissing as missing:
        problems.append(f"audit.signing_key: {missing}")
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What they say may quote the key.
        problems.append("audit.signing_key: no unencrypted private key in PEM")
        return None
    if not isinstance(key, Ed25519PrivateKey):
        problems.append("audit.signing_key: not an Ed25519 key")
        return None
    return key
