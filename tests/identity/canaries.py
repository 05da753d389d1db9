"""Secrets whose traces are looked for, and the shapes that they could have taken on the way."""

import base64
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from service.identity.access_keys import PREFIX
from tests.identity.minters import Presented
from tests.key_tables import PEPPER

Value: TypeAlias = str | bytes
_LINE_CHARS = 64


class Hit(NamedTuple):
    """Where a secret was found, and in which shape."""

    canary: str
    shape: str
    sink: str


class Secrets:
    """Every secret of a run, by what it is. What comes up while it runs is added then."""

    def __init__(self) -> None:
        self.texts = {
            "Cohere key": canary(),
            "Cohere key after rotation": canary(),
            "Cohere key given inline": canary(),
            "Cohere key given inline, next": canary(),
            "Cohere key given inline, refused": canary(),
            "key encryption key": secrets.token_hex(32),
            "client secret": canary(),
            "database password": canary(),
            "prompt": canary(),
            "pepper": PEPPER,
            "refresh token": canary(),
            "refresh token after renewal": canary(),
            "authorization code": canary(),
            "device code": canary(),
        }
        self.values: dict[str, Value] = {**self.texts}

    def add_files(self, folder: Path) -> None:
        """What stands in files that the service reads."""
        self.values["audit HMAC key"] = (folder / "audit-hmac.key").read_text().strip()
        self.add_private_key("audit signing key", (folder / "audit-signing.key").read_text())
        self.add_private_key("TLS private key", (folder / "server.key").read_text())

    def add_private_key(self, what: str, pem: str) -> None:
        """A private key: its number, which alone is secret, and what a PEM makes of it."""
        key = load_pem_private_key(pem.encode(), None)
        if isinstance(key, Ed25519PrivateKey):
            number = key.private_bytes_raw()
        else:
            assert isinstance(key, EllipticCurvePrivateKey)
            value = key.private_numbers().private_value
            number = value.to_bytes((key.key_size + 7) // 8, "big")
            self.values[f"{what} (decimal)"] = str(value)
        self.values[f"{what} (number)"] = number
        self.values[f"{what} (PEM)"] = _secret_of(pem, number)

    def add_presented(self, what: str, shown: Presented) -> None:
        """What a caller presents."""
        for _, value in shown.metadata:
            self.add(what, value.removeprefix("Bearer "))
        if shown.certificate is not None:
            self.add_private_key(what, shown.certificate.key_pem.decode())

    def add(self, what: str, credential: str) -> None:
        """A credential: of a key what is not its public id, of a JWT its signature."""
        if credential.startswith(PREFIX):
            credential = credential.split("_", 3)[3]
        self.values[what] = credential.rpartition(".")[2]


def _secret_of(pem: str, number: bytes) -> str:
    """What of one line of a PEM is the key's number: the rest says which kind it is, or is public."""
    text = "".join(line for line in pem.splitlines() if "-----" not in line)
    at = base64.b64decode(text).index(number)
    begin, end = -(-at * 8 // 6), (at + len(number)) * 8 // 6
    lines = range(0, len(text), _LINE_CHARS)
    return max((text[max(begin, line) : min(end, line + _LINE_CHARS)] for line in lines), key=len)


def canary(chars: int = 40) -> str:
    """A value that is one line of printable ASCII, has what URL-encoding changes, and is nowhere by chance."""
    return f"+{secrets.token_urlsafe(chars)[: chars - 2]}/"


def shapes(value: Value) -> dict[str, bytes]:
    """What to look for: the value raw, in halves, and as encoders write it, also one after the other."""
    raw = value if isinstance(value, bytes) else value.encode()
    half = len(raw) // 2
    quoted = urllib.parse.quote(raw, safe="").encode()
    escaped = repr(b"'\"" + raw)[len("b'\\'\"") : -1]
    found = {
        "raw": raw,
        "first half": raw[:half],
        "second half": raw[half:],
        "URL-encoded": quoted,
        "repr": escaped.replace("\\'", "'").encode(),
        "repr among both quotes": escaped.encode(),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
    }
    for offset in range(3):
        found[f"base64 {offset}"] = _aligned(raw, offset, base64.b64encode)
        found[f"base64url {offset}"] = _aligned(raw, offset, base64.urlsafe_b64encode)
        found[f"base64 of URL-encoded {offset}"] = _aligned(quoted, offset, base64.b64encode)
    return found


def _aligned(raw: bytes, offset: int, encode: object) -> bytes:
    """What of an encoding depends on the value alone, where *offset* bytes stand before it."""
    assert callable(encode)
    encoded: bytes = encode(bytes(offset) + raw)
    return encoded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]


def hits(canaries: Mapping[str, Value], sinks: Mapping[str, bytes]) -> list[Hit]:
    """Every place in which a canary stands."""
    return list(_hits(canaries, sinks))


def _hits(canaries: Mapping[str, Value], sinks: Mapping[str, bytes]) -> Iterator[Hit]:
    for name, value in canaries.items():
        for shape, needle in shapes(value).items():
            for sink, content in sinks.items():
                if needle in content:
                    yield Hit(name, shape, sink)
