"""Where an issuer is asked: as the config says, else as the issuer's metadata says (OIDC Discovery, RFC 8414)."""

from collections.abc import Callable
from urllib.parse import urlsplit

from service.identity.issuers.fetch import Fetcher, FetchFailed
from service.identity.issuers.flights import Flights

KEPT_S = 3600.0
"""How long metadata is believed; where it cannot be read again then, it stays in use."""


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
        self._found_at_s = 0.0

    async def url(self) -> str:
        """Where to ask.

        Raises:
            FetchFailed: The metadata was never read, and cannot be.
        """
        if self._configured is not None:
            return self._configured
        if self._found and self._clock() - self._found_at_s < KEPT_S:
            return self._found
        try:
            return await self._looking.join(b"", self._looked_up)
        except FetchFailed:
            if not self._found:
                raise
            return self._found

    async def _looked_up(self) -> str:
        self._found = await self._discovered()
        self._found_at_s = self._clock()
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
