"""An issuer's keys in memory: fetched in the background, and when a token names one that is not known.

known key            no question asked, for 24 hours after the last answer
unknown key          one fetch for all who wait, at most one in 30 s; then it is known to be unknown for a minute
no keys at all       one fetch for all who wait, at most one in 5 s
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection

import structlog

from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import TIMEOUT_S, Fetcher, FetchFailed
from service.identity.issuers.flights import Flights
from service.identity.issuers.jwks import Keys, keys_of
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.public_keys import PublicKey

REFRESH_S = 600.0
RETRY_S = 30.0
STALE_MAX_S = 24 * 3600.0
COOLDOWN_S = 30.0
COLD_COOLDOWN_S = 5.0
UNKNOWN_KEPT_S = 60.0
UNKNOWN_MAX = 1000
_ALL = b""

_log = structlog.get_logger()


class KeyCache:
    """The keys of one issuer.

    Args:
        name: What the config calls it.
        fetcher: Asks it.
        endpoint: Where its keys are.
        algorithms: The only ones that its tokens may be signed with.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        name: str,
        fetcher: Fetcher,
        endpoint: Endpoint,
        algorithms: Collection[str],
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._fetcher = fetcher
        self._endpoint = endpoint
        self._algorithms = algorithms
        self._clock = clock
        self._keys: Keys = {}
        self._fetched_at_s: float | None = None
        self._asked_for_a_key_at_s: float | None = None
        self._fetching = Flights[bool]()
        self._unknown: OrderedDict[tuple[str, str | None], float] = OrderedDict()
        self._wanted: set[tuple[str, str | None]] = set()
        """What the fetch under way was asked for."""

    async def key(self, algorithm: str, kid: str | None) -> PublicKey:
        """The key that a token names.

        Args:
            algorithm: Of those allowed.
            kid: Its id; None stands for the one key of that algorithm.

        Raises:
            CredentialRefused: The issuer has no such key.
            CredentialUndecided: Whether it has is not known, for it cannot be asked now.
        """
        key = self._known(algorithm, kid)
        if key is not None:
            return key
        if self._unknown.get((algorithm, kid), 0.0) > self._clock():
            raise CredentialRefused("token of an unknown key")
        wait_s = self._may_ask_in_s()
        if wait_s > 0:
            # Refused for good, a token of a key that was rotated in since then would not be presented again.
            raise CredentialUndecided(f"unknown key, and {self._name} was asked for one a moment ago", wait_s)
        self._wanted.add((algorithm, kid))
        if not await self.refresh(TIMEOUT_S):
            raise CredentialUndecided(f"the keys of {self._name} cannot be fetched")
        key = self._known(algorithm, kid)
        if key is None:
            self._remember_unknown(algorithm, kid)
            raise CredentialRefused("token of an unknown key")
        return key

    async def refresh(self, timeout_s: float | None = None) -> bool:
        """Fetches the keys, together with whoever waits for them already; true if they are there now."""
        try:
            return await self._fetching.join(_ALL, self._fetch, timeout_s)
        except TimeoutError:
            return False

    async def follow(self) -> None:
        """Fetches the keys again and again, until cancelled."""
        while True:
            fetched = await self.refresh()
            await asyncio.sleep(REFRESH_S if fetched else RETRY_S)

    async def close(self) -> None:
        """Ends a fetch under way."""
        await self._fetching.close()

    def _known(self, algorithm: str, kid: str | None) -> PublicKey | None:
        if self._fetched_at_s is None or self._clock() - self._fetched_at_s > STALE_MAX_S:
            return None
        return self._keys.get(algorithm, {}).get(kid)

    def _may_ask_in_s(self) -> float:
        """When a token may have the keys fetched: 0 for now, or to wait for those that are being fetched."""
        if _ALL in self._fetching:
            return 0.0
        now_s, before_s = self._clock(), self._asked_for_a_key_at_s
        cooldown_s = COLD_COOLDOWN_S if self._fetched_at_s is None else COOLDOWN_S
        if before_s is not None and now_s - before_s < cooldown_s:
            return before_s + cooldown_s - now_s
        self._asked_for_a_key_at_s = now_s
        return 0.0

    def _remember_unknown(self, algorithm: str, kid: str | None) -> None:
        self._unknown.pop((algorithm, kid), None)
        self._unknown[algorithm, kid] = self._clock() + UNKNOWN_KEPT_S
        if len(self._unknown) > UNKNOWN_MAX:
            self._unknown.popitem(last=False)

    async def _fetch(self) -> bool:
        try:
            document = await self._fetcher.get(await self._endpoint.url())
            self._keys = keys_of(document, self._algorithms)
        except (FetchFailed, ValueError) as failed:
            _log.warning("keys of an issuer not fetched", issuer=self._name, problem=str(failed))
            return False
        except Exception as error:  # a bug must not end the background fetches
            _log.error("keys of an issuer not fetched", issuer=self._name, exc_info=error)
            return False
        finally:
            wanted, self._wanted = self._wanted, set()
        self._fetched_at_s = self._clock()
        for algorithm, kid in wanted:  # now: another call may come before those that wait go on
            if self._known(algorithm, kid) is None:
                self._remember_unknown(algorithm, kid)
        return True
