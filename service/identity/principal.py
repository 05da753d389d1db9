"""Who the caller is, whichever credential said so."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Method: TypeAlias = Literal["access_key", "service_account", "oauth2", "mtls", "rotation"]
"""How a caller identified itself; `rotation` is no caller, but a rotation that tries a new Cohere key."""


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
