"""Who the caller is, whichever credential said so."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Method: TypeAlias = Literal["access_key", "service_account", "oauth2", "mtls", "rotation"]
"""How a caller identified itself; `rotation` is no caller, but a rotation that tries a new Cohere key."""


class OwnLimits(NamedTuple):
    """How often the holders of a credential may call, beside what limits their team; None: that alone."""

    holder: str
    """Whose they are, as refusals name it: see `holder_of`."""
    requests_per_minute: int | None
    requests_per_day: int | None
    """In one of the days of the team's budget."""


def holder_of(line: str) -> str:
    """The holder of the limits of access keys: the first of the line that they form by rotations."""
    return f"access_key:{line}"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    team: str
    """Who pays."""
    name: str
    """Who calls, within the team."""
    scopes: frozenset[str]
    """What it may do."""
    method: Method
    """How it identified itself."""
    credential_id: str
    """Which credential; safe to log."""
    models: frozenset[str] = frozenset()
    """The only models it may use, of its team's; empty: all of them."""
    max_tokens_per_call: int | None = None
    """Its own cap of output tokens, beside its team's; None: the team's alone."""
    actors: tuple[str, ...] = ()
    """Who acts for it, the present one first (RFC 8693 section 4.1)."""
    limits: OwnLimits | None = None
