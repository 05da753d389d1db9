"""Secrets whose traces are looked for, and the shapes that they could have taken on the way."""

import base64
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Hit(NamedTuple):
    """Where a secret was found, and in which shape."""

    canary: str
    shape: str
    sink: str


def canary(chars: int = 40) -> str:
    """A value that is one line of printable ASCII, has what URL-encoding changes, and is nowhere by chance."""
    return f"+{secrets.token_urlsafe(chars)[: chars - 2]}/"


def shapes(value: str) -> dict[str, bytes]:
    """What to look for: the value raw, in halves, and as encoders write it."""
    raw = value.encode()
    half = len(raw) // 2
    return {
        "raw": raw,
        "first half": raw[:half],
        "second half": raw[half:],
        "URL-encoded": urllib.parse.quote(value, safe="").encode(),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        **{f"base64 {offset}": _aligned(raw, offset, base64.b64encode) for offset in range(3)},
        **{f"base64url {offset}": _aligned(raw, offset, base64.urlsafe_b64encode) for offset in range(3)},
    }


def _aligned(raw: bytes, offset: int, encode: object) -> bytes:
    """What of an encoding depends on the value alone, where *offset* bytes stand before it."""
    assert callable(encode)
    encoded: bytes = encode(bytes(offset) + raw)
    return encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]


def hits(canaries: Mapping[str, str], sinks: Mapping[str, bytes]) -> list[Hit]:
    """Every place in which a canary stands."""
    return list(_hits(canaries, sinks))


def _hits(canaries: Mapping[str, str], sinks: Mapping[str, bytes]) -> Iterator[Hit]:
    for name, value in canaries.items():
        for shape, needle in shapes(value).items():
            for sink, content in sinks.items():
                if needle in content:
                    yield Hit(name, shape, sink)
