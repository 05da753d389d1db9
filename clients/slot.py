"""Leave to make one attempt."""

from dataclasses import dataclass
from typing import NamedTuple

from yarl import URL

from clients.cohere_key import CohereKey
from clients.pacing.pacer import Turn


class Leave(NamedTuple):
    """Leave to make it with a version of the team's Cohere key."""

    key: CohereKey
    begun_s: float
    trial: bool


@dataclass(slots=True)
class Slot:
    """Which version of the team's Cohere key an attempt uses, and where it goes."""

    key: CohereKey
    base_url: URL
    turn: Turn = ()
    """What it has taken of Cohere's limits."""
    sent: bool = False
    """The first byte may be on its way. Until then the attempt costs nothing, and may be given up."""
    begun_s: float = 0.0
    """When leave was given, on the clock of the team's key ring."""
    trial: bool = False
    """The key was refused before: this attempt finds out whether it still is."""
