"""The order in which access keys and service accounts are listed, and where a page of them ends."""

from typing import NamedTuple


class CredentialPlace(NamedTuple):
    """Where a page ended: by team, name and time of making."""

    team: str
    name: str
    created_at_us: int
    id: str


FIRST = CredentialPlace("", "", 0, "")
"""Comes before all."""
