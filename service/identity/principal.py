"""Who the caller is, whichever credential said so."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller."""

    team: str
    """Who pays."""
    name: str
    """Who calls, within the team."""
    scopes: frozenset[str]
    """What it may do."""
    method: str
    """How it identified itself, e.g. `access_key`."""
    credential_id: str
    """Which credential; safe to log."""
