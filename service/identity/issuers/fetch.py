"""Guarded HTTP: one request to an issuer → one JSON object, or why there is none.

Where it goes is decided at the one place that every connection passes: when its socket is made, for the very address
that it is about to connect to. However an address is spelled, whatever a name led to before (DNS rebinding), and
whichever of several addresses is tried, nothing is looked up between the check and the connection.
"""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver
from yarl import URL

from service.address import is_loopback
from service.identity.issuers.addresses import may_be_asked

TIMEOUT_S = 3.0
ANSWER_BYTES_MAX = 256 * 1024
CONNECTIONS_MAX = 32
IDLE_S = 3.0
"""How long a connection is kept: less than servers keep theirs (5 s and more), or some would close under a request."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "cohort"}


class FetchFailed(Exception):
    """There is no JSON object.

    Attributes:
        why: For operators; holds nothing of what was sent.
        status: The HTTP status if there was an answer, else 0.
    """

    def __init__(self, why: str, status: int = 0) -> None:
        self.why = why
        self.status = status
        super().__init__(why)


class _AddressRefused(OSError):
    pass


class Fetcher:
    """Asks one issuer. Use it inside an event loop, and close it.

    Args:
        private_addresses: Whether it may be on a private address, or on this machine.
        tls: Which authorities are trusted; None: the system's.
        resolver: Looks names up; None: as the system does.
    """

    def __init__(
        self, *, private_addresses: bool, tls: ssl.SSLContext | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        def connecting(info: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, _, (address, *_) = info
            if not may_be_asked(address, private=private_addresses):
                raise _AddressRefused(f"{address} is not an address that may be asked")
            return socket.socket(family, kind, protocol)

        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            resolver=resolver,
            use_dns_cache=False,
            keepalive_timeout=IDLE_S,
            socket_factory=connecting,
            ssl=tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            trust_env=False,
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self._session.close()

    async def get(self, url: str) -> dict[str, Any]:
        """Reads a JSON object.

        Raises:
            FetchFailed: There is none, or it may not be asked for.
        """
        return await self._fetch("GET", url)

    async def post(self, url: str, form: Mapping[str, str], authorization: str) -> dict[str, Any]:
        """Sends a form and reads a JSON object.

        Args:
            url: Where to.
            form: Its fields.
            authorization: The header of that name.

        Raises:
            FetchFailed: There is none, or it may not be asked for.
        """
        return await self._fetch("POST", url, data=form, headers={"Authorization": authorization})

    async def _fetch(self, method: str, url: str, **request: Any) -> dict[str, Any]:
        try:
            async with self._session.request(method, _target(url), allow_redirects=False, **request) as response:
                return _object_of(await _body(response))
        except TimeoutError:
            raise FetchFailed("no answer in time") from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.__cause__, _AddressRefused)
            raise FetchFailed(f"{error.__cause__}" if refused else f"no connection: {type(error).__name__}") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise FetchFailed(f"no answer: {type(error).__name__}") from None


def _target(url: str) -> URL:
    """The parsed URL, if its kind is one that may be asked; its address is checked when it is connected to."""
    try:
        target = URL(url)
    except ValueError:
        raise FetchFailed("not a URL") from None
    if not target.host or target.user is not None or target.password is not None:
        raise FetchFailed("not a URL of a server, without credentials")
    if target.scheme != "https" and not (target.scheme == "http" and is_loopback(target.host)):
        raise FetchFailed("not https")
    return target


async def _body(response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        raise FetchFailed(f"answered with status {response.status}", response.status)
    # None was asked for, and a kilobyte of it could fill the memory.
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("answered with a compressed body", response.status)
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise FetchFailed(f"answered with more than {ANSWER_BYTES_MAX} bytes", response.status)
    return bytes(body)


def _object_of(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError:
        raise FetchFailed("answered with something other than JSON", 200) from None
    if not isinstance(value, dict):
        raise FetchFailed("answered with something other than a JSON object", 200)
    return value
