"""Where an issuer is asked: as the config says, else as the issuer's metadata says (OIDC Discovery, RFC 8414)."""

from collections.abc import Callable
from urllib.parse import urlsplit

import structlog

from service.identity.issuers.fetch import Fetcher, FetchFailed
from service.identity.issuers.flights import Flights

KEPT_S = 3600.0
"""How long metadata is believed; what it said stays in use until it has been read again."""
RETRY_S = 30.0
"""The least time between two attempts to read it again."""

_log = structlog.get_logger()


class Endpoint:
    """One URL of an issuer.

    Args:
        fetcher: Asks the issuer.
        issuer: Exactly as its metadata has to say.
        member: What the metadata calls the URL, e.g. `jwks_uri`.
        configured: The URL, if no metadata has to be asked.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self, fetcher: Fetcher, issuer: str, member: str, configured: str | None, clock: Callable[[], float]
    ) -> None:
        self._fetcher = fetcher
        self._issuer = issuer
        self._member = member
        self._configured = configured
        self._clock = clock
        self._looking = Flights[str]()
        self._found = ""
        self._renew_at_s = 0.0

    async def url(self) -> str:
        """Where to ask: at once, if it was ever found out.

        Raises:
            FetchFailed: The metadata was never read, and cannot be.
        """
        if self._configured is not None:
            return self._configured
        if not self._found:
            return await self._looked_up()
        if self._clock() >= self._renew_at_s:
            # Whoever asks does not wait for it: an issuer whose metadata hangs may well answer where it was before.
            self._renew_at_s = self._clock() + RETRY_S
            self._looking.begin(b"", self._renewed)
        return self._found

    async def close(self) -> None:
        """Ends a look at the metadata under way."""
        await self._looking.close()

    async def _looked_up(self) -> str:
        try:
            return await self._looking.join(b"", self._look_up)
        except TimeoutError:
            raise FetchFailed("no longer asked") from None

    async def _renewed(self) -> str:
        try:
            return await self._look_up()
        except FetchFailed as failed:
            _log.warning("metadata of an issuer not read again", issuer=self._issuer, problem=failed.why)
            return self._found

    async def _look_up(self) -> str:
        self._found = await self._discovered()
        self._renew_at_s = self._clock() + KEPT_S
        return self._found

    async def _discovered(self) -> str:
        oidc, oauth = metadata_urls(self._issuer)
        try:
            metadata = await self._fetcher.get(oidc)
        except FetchFailed as failed:
            if not failed.status:  # there was nobody to say that it is elsewhere
                raise
            metadata = await self._fetcher.get(oauth)
        if metadata.get("issuer") != self._issuer:
            raise FetchFailed("its metadata is that of another issuer")
        url = metadata.get(self._member)
        if not isinstance(url, str):
            raise FetchFailed(f"its metadata says no {self._member}")
        return url


def metadata_urls(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata is: by OpenID Connect Discovery section 4, and by RFC 8414 section 3."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )
