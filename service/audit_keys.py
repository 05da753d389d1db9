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
    try:
        hmac_key = hmac_key_of(loaded)
    except ConfigError as error:
        hmac_key = b""
        problems += error.problems
    try:
        signing_key = signing_key_of(loaded)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return AuditKeys(hmac_key, signing_key)


def hmac_key_of(loaded: LoadedConfig) -> bytes:
    """Reads the key of the HMACs alone.

    Raises:
        ConfigError: It cannot be used.
    """
    try:
        key = loaded.secret(loaded.config.audit.hmac_key).read().encode()
    except SecretMissing as missing:
        raise ConfigError([f"audit.hmac_key: {missing}"]) from None
    if len(key) < HMAC_KEY_BYTES_MIN:
        problem = f"audit.hmac_key: shorter than {HMAC_KEY_BYTES_MIN} characters, so it could be guessed"
        raise ConfigError([problem])
    return key


def signing_key_of(loaded: LoadedConfig) -> Ed25519PrivateKey:
    """Reads the signing key alone.

    Raises:
        ConfigError: It cannot be used.
    """
    try:
        pem = loaded.secret(loaded.config.audit.signing_key).read_block().encode()
        key = load_pem_private_key(pem, password=None)
    except SecretMissing as missing:
        raise ConfigError([f"audit.signing_key: {missing}"]) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What they say may quote the key.
        raise ConfigError(["audit.signing_key: no unencrypted private key in PEM"]) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(["audit.signing_key: not an Ed25519 key"])
    return key
