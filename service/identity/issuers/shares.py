"""How many tokens may be asked for at one issuer, so that one caller's made-up ones do not keep out all the others.

                                        under way    of those at the issuer
    all                                    512                28
    those not seen active before           384                20
    of these, those of one address          96                10

Who is not at the issuer waits, first come, first served; a token that was seen active, for others of its kind alone.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

from service.address import host_of
from service.identity.issuers.fetch import CONNECTIONS_MAX

UNDER_WAY_MAX, UNSEEN_UNDER_WAY_MAX, UNDER_WAY_OF_ORIGIN_MAX = 512, 384, 96
ASKED_MAX, UNSEEN_ASKED_MAX, ASKED_OF_ORIGIN_MAX = CONNECTIONS_MAX - 4, 20, 10
"""Each has a connection; those that are left are for the issuer's metadata and keys."""


@dataclass
class _Origin:
    under_way: int = 0
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ASKED_OF_ORIGIN_MAX))


class Shares:
    """Who asks one issuer."""

    def __init__(self) -> None:
        self._under_way = 0
        self._unseen_under_way = 0
        self._origins: dict[str, _Origin] = {}
        self._asked = asyncio.Semaphore(ASKED_MAX)
        self._unseen_asked = asyncio.Semaphore(UNSEEN_ASKED_MAX)

    def enter(self, origin: str, *, seen: bool) -> bool:
        """Takes a share, to be left in the end; false if there is none.

        Args:
            origin: Where the token came from; see `origin_of`.
            seen: Whether the token was seen active before.
        """
        if self._under_way >= UNDER_WAY_MAX:
            return False
        if not seen:
            known = self._origins.get(origin) or _Origin()
            if self._unseen_under_way >= UNSEEN_UNDER_WAY_MAX or known.under_way >= UNDER_WAY_OF_ORIGIN_MAX:
                return False
            self._unseen_under_way += 1
            known.under_way += 1
            self._origins[origin] = known
        self._under_way += 1
        return True

    def leave(self, origin: str, *, seen: bool) -> None:
        """Gives a share back."""
        self._under_way -= 1
        if not seen:
            self._unseen_under_way -= 1
            known = self._origins[origin]
            known.under_way -= 1
            if not known.under_way:
                del self._origins[origin]

    @contextlib.asynccontextmanager
    async def turn(self, origin: str, *, seen: bool) -> AsyncIterator[None]:
        """Whoever has a share waits here until the issuer may be asked, and asks it inside the context."""
        async with contextlib.AsyncExitStack() as stack:
            # One's own first: who waits for that takes nothing from others.
            limits = (self._asked,) if seen else (self._origins[origin].asked, self._unseen_asked, self._asked)
            for limit in limits:
                await stack.enter_async_context(limit)
            yield


def origin_of(address: str) -> str:
    """Whoever shares a bound: an IPv4 address, or the /64 of an IPv6 address, of which one machine has all.

    Args:
        address: As `context.peer()` tells it: `ipv4:HOST:PORT`, or `ipv6:[HOST]:PORT` with its brackets escaped.
    """
    host = host_of(unquote(address.partition(":")[2]))
    try:
        ip = ip_address(host)
    except ValueError:  # a socket of this machine
        return host
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return host
