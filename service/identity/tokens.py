"""What bearer tokens of every kind have in common: their size, their shape, and what a verified one says.

Nothing here believes a token: a claim read by `peek` only chooses who has to verify it.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson

from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused

TOKEN_BYTES_MAX = 8192
LIFETIME_MAX_S = 24 * 3600
SKEW_S = 30
"""By how much an issuer's clock may differ from ours."""


class Peeked(NamedTuple):
    """What a JWT says of itself, unverified."""

    header: dict[str, Any]
    claims: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """What a token that was verified says."""

    principal: Principal
    expires_at_s: float
    """Unix seconds; after this it is verified no more."""
    certificate_hash: str | None = None
    """`cnf.x5t#S256` (RFC 8705 section 3.1): it is valid with this client certificate alone."""


class TokenVerifier(Protocol):
    """Verifies the JWTs of one kind of issuer."""

    async def verify(self, token: str, peeked: Peeked | None, now_s: float) -> Verified:
        """Verifies a token.

        Args:
            token: As received, at most `TOKEN_BYTES_MAX` long.
            peeked: What it says unverified; None if it is opaque.
            now_s: The time, Unix seconds.

        Raises:
            CredentialRefused: It is not valid.
            CredentialUndecided: Its issuer cannot be asked.
        """
        ...


class OpaqueVerifier(Protocol):
    """Verifies the tokens that say nothing by themselves."""

    async def verify(self, token: str, address: str, now_s: float) -> Verified:
        """Verifies a token.

        Args:
            token: As received.
            address: Where it came from, as gRPC tells it; what is asked for in vain is bounded by it.
            now_s: The time, Unix seconds.

        Raises:
            CredentialRefused: It is not valid.
            CredentialUndecided: Its issuer cannot be asked.
        """
        ...


def peek(token: str) -> Peeked | None:
    """Reads a JWT without verifying it; None if it has not the shape of one (RFC 7519 section 7.2), and is opaque.

    Raises:
        CredentialRefused: It is too long, encrypted, or a JWT that cannot be read.
    """
    if len(token) > TOKEN_BYTES_MAX:
        raise CredentialRefused("token too long")
    parts = token.split(".")
    if len(parts) == 5:
        raise CredentialRefused("encrypted token")
    if len(parts) != 3:
        return None
    try:
        header, claims = (_object(part) for part in parts[:2])
    except (ValueError, binascii.Error):
        raise CredentialRefused("malformed token") from None
    return Peeked(header, claims)


def _object(part: str) -> dict[str, Any]:
    text = base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 (one kind of error for all that cannot be read)
    return value
