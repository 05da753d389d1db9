"""Which values are the same, told without them: who reads the database cannot test guesses of a key."""

import hashlib
import hmac

# Content is named under the audit's key as well: a Chat that holds a key must not thereby bear its fingerprint.
_PURPOSE = b"fingerprints of Cohere keys"


class Fingerprints:
    """Makes fingerprints: HMAC-SHA256 under a key made of the audit's HMAC key, the same in every replica.

    Args:
        hmac_key: The audit's.
    """

    __slots__ = ("_key",)

    def __init__(self, hmac_key: bytes) -> None:
        self._key = hmac.digest(hmac_key, _PURPOSE, hashlib.sha256)

    def of(self, value: str) -> bytes:
        """The fingerprint of a value (32 bytes)."""
        return hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256)

    def of_request(self, text: bytes) -> bytes:
        """The digest of a request, which may hold a value (32 bytes); never that of a value."""
        return hmac.digest(self._key, b"request\0" + text, hashlib.sha256)

    def __repr__(self) -> str:
        return "Fingerprints(…)"
