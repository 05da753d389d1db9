"""What rotation needs of others: who checks a key, who tries one in a call, and who makes calls with it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from yarl import URL

from clients.breaker import Refusal
from clients.cohere_key import CohereKey
from clients.secrets.key_source import KeySource
from service.rotation.history import Cause


class Checked(NamedTuple):
    """What is known of a key after Cohere was asked about it."""

    cause: Cause | None
    """Why it cannot be used; None: it can."""
    organization_id: str = ""
    """Whose it is; "" if Cohere does not say."""
    message: str = ""
    """What is wrong with it, for operators; never a part of it."""


class Checker(Protocol):
    """Asks Cohere about a key, by what is free."""

    async def check(self, value: str, base_url: URL) -> Checked:
        """Never raises for what is wrong with the key, or with the way to Cohere: that is `COHERE_UNAVAILABLE`."""
        ...


class Ring(Protocol):
    """The versions that one team's calls use in this replica."""

    problem: str
    """What operators have to know of the key's source, or ""."""
    now_us: Callable[[], int]
    """By what an overlap ends."""

    @property
    def in_use(self) -> CohereKey | None:
        """What attempts use, or None."""
        ...

    @property
    def refusal(self) -> Refusal | None:
        """Why Cohere refuses all that attempts could use, or None."""
        ...

    def use(
        self, current: CohereKey | None, previous: CohereKey | None = None, overlap_end_us: int | None = None
    ) -> None:
        """Takes versions into use from the next attempt on; attempts end with what they began with."""
        ...

    def another_is_coming(self) -> None:
        """Has calls that wait for a good key wait for the one that is being checked."""
        ...


class TeamWay(NamedTuple):
    """Where a team's Cohere key comes from, who uses it, and at which Cohere."""

    source: KeySource
    ring: Ring
    base_url: URL


Failed = Callable[[str, str], object]
"""Is told of a team, and what became of a rotation for which nobody waits."""
Probe = Callable[[str, CohereKey, str], Awaitable[Checked]]
"""Makes the smallest call of a team with a key, paid by its budget, for somebody: (team, key, by)."""


async def no_probe(_team: str, _key: CohereKey, _by: str) -> Checked:
    """For a service that makes no calls."""
    return Checked(Cause.PROBE_FAILED, message="this process makes no calls")
