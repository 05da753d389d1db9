"""What the records say of content instead of the content: its length, and an HMAC to find it by."""

import hmac
from hashlib import sha256

KEY_BYTES_MIN = 32


class ContentHash:
    """The HMAC of content that arrives in pieces, as a stream does."""

    __slots__ = ("_bytes", "_hmac")

    def __init__(self, started: hmac.HMAC) -> None:
        self._hmac = started
        self._bytes = 0

    def add(self, piece: bytes) -> None:
        """Takes the next piece; how content is cut into pieces does not show."""
        self._hmac.update(piece)
        self._bytes += len(piece)

    @property
    def bytes(self) -> int:
        """The length of what was added."""
        return self._bytes

    @property
    def hex(self) -> str:
        """The HMAC of what was added, as 64 hexadecimal digits."""
        return self._hmac.hexdigest()


class ContentHasher:
    """HMAC-SHA256 under the audit's key: without the key nobody can test what a record's content may have been.

    Args:
        key: At least 32 bytes, the same in every replica.

    Raises:
        ValueError: The key is too short to keep guesses out.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES_MIN:
            raise ValueError(f"the audit's HMAC key has {len(key)} bytes and needs {KEY_BYTES_MIN}")
        # A copy of a keyed HMAC saves two of the blocks to hash; and `hmac.digest` lets go of the interpreter each
        # time, which other threads take: a call would cost a tenth more.
        self._keyed = hmac.new(key, digestmod=sha256)

    def of(self, content: bytes) -> str:
        """The HMAC of content, as 64 hexadecimal digits."""
        keyed = self._keyed.copy()
        keyed.update(content)
        return keyed.hexdigest()

    def begin(self) -> ContentHash:
        """The HMAC of content that is yet to come."""
        return ContentHash(self._keyed.copy())

    def __repr__(self) -> str:
        return "ContentHasher(…)"
