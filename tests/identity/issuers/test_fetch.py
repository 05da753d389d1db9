"""Where our own fetches go and what they take; that a refused target is never connected to."""

import asyncio
import contextlib
import socket
import ssl
import zlib
from collections.abc import AsyncIterator

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from service.identity.issuers import addresses, fetch
from service.identity.issuers.fetch import ANSWER_BYTES_MAX, Fetcher, FetchFailed
from tests.identity.issuers.fake_issuer import FakeIssuer, fetching

LOOPBACK_SPELLINGS = (
    "127.0.0.1", "127.0.0.2", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1",
    "127.0.0.01", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
    "①②⑦.0.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0", "0.0.0.0", "[::]",
)  # fmt: skip
ELSEWHERE = ("169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fe80::1]", "10.0.0.1")


class Ears:
    """Listens at a port of this machine, on all of its addresses, and counts who comes."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def came(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def ears() -> AsyncIterator[Ears]:
    ears = Ears()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket())]
        sockets[0].bind(("0.0.0.0", 0))
        ears.port = sockets[0].getsockname()[1]
        if socket.has_ipv6:
            with contextlib.suppress(OSError):
                six = stack.enter_context(socket.socket(socket.AF_INET6))
                six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                six.bind(("::", ears.port))
                sockets.append(six)
        servers = [await asyncio.start_server(ears.came, sock=each) for each in sockets]
        yield ears
        for server in servers:
            server.close()
            await server.wait_closed()


@pytest.fixture
async def guarded() -> AsyncIterator[Fetcher]:
    """May not ask this machine."""
    async with fetching(private_addresses=False) as fetcher:
        yield fetcher


async def why_not(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(FetchFailed) as failed:
        await fetcher.get(url)
    return failed.value.why


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
async def test_this_machine_is_not_asked_however_it_is_spelled(
    guarded: Fetcher, ears: Ears, host: str, scheme: str
) -> None:
    await why_not(guarded, f"{scheme}://{host}:{ears.port}/")

    assert ears.connections == 0


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_a_private_address_is_refused_without_an_attempt(guarded: Fetcher, host: str) -> None:
    why = await why_not(guarded, f"https://{host}/latest/meta-data")

    assert "may be asked" in why or why == "no answer: InvalidUrlClientError"


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "[fe80::1]"])
async def test_a_link_local_address_is_refused_even_to_who_may_ask_private_ones(fetcher: Fetcher, host: str) -> None:
    assert "may be asked" in await why_not(fetcher, f"https://{host}/latest/meta-data")


async def test_the_ears_hear_who_does_come(fetcher: Fetcher, ears: Ears) -> None:
    await why_not(fetcher, f"http://127.0.0.1:{ears.port}/")

    assert ears.connections >= 1


class Names(AbstractResolver):
    """Leads a name to one address after the other, as a hostile DNS server does."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses[min(self.asked, len(self.addresses) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        """It holds nothing."""


async def test_a_name_that_leads_to_this_machine_is_not_followed(ears: Ears) -> None:
    async with fetching(private_addresses=False, resolver=Names("127.0.0.1")) as fetcher:
        why = await why_not(fetcher, f"https://issuer.example:{ears.port}/")

    assert why == "127.0.0.1 is not an address that may be asked"
    assert ears.connections == 0


async def test_a_name_is_looked_up_once_for_a_connection_and_rebinding_gains_nothing(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pretended(address: str, *, private: bool) -> bool:
        return address == "127.0.0.2" or addresses.may_be_asked(address, private=private)

    monkeypatch.setattr(fetch, "may_be_asked", pretended)  # 127.0.0.2 stands for a public address here
    names = Names("127.0.0.2", "127.0.0.1")
    url = f"https://issuer.example:{ears.port}/"

    async with fetching(private_addresses=False, resolver=names) as fetcher:
        assert "may be asked" not in await why_not(fetcher, url)
        assert (names.asked, ears.connections) == (1, 1)  # where the check saw it lead, and nowhere else
        assert await why_not(fetcher, url) == "127.0.0.1 is not an address that may be asked"
        assert (names.asked, ears.connections) == (2, 1)


async def test_a_redirect_is_not_followed(fetcher: Fetcher, issuer: FakeIssuer, ears: Ears) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"http://127.0.0.1:{ears.port}/")

    issuer.documents["/moved"] = elsewhere

    assert await why_not(fetcher, f"{issuer.url}/moved") == "answered with status 302"
    assert ears.connections == 0


async def test_proxies_of_the_environment_are_not_used(
    issuer: FakeIssuer, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{ears.port}")
    monkeypatch.delenv("no_proxy", raising=False)

    async with fetching(private_addresses=True) as fetcher:
        assert await fetcher.get(f"{issuer.url}/jwks")
    assert ears.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks", "http://10.0.0.1/jwks", "http://[::ffff:127.0.0.1]/", "ftp://issuer.example/",
        "file:///etc/passwd", "https://user:secret@issuer.example/", "https://", "//issuer.example/", "jwks", "",
        "https://[::1", "unix:///run/docker.sock", "gopher://127.0.0.1/",
    ],
)  # fmt: skip
async def test_only_https_and_this_machines_http_are_spoken(fetcher: Fetcher, url: str) -> None:
    assert await why_not(fetcher, url) in {
        "not https", "not a URL", "not a URL of a server, without credentials",
    }  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
async def test_an_answer_may_not_fill_the_memory(fetcher: Fetcher, issuer: FakeIssuer, *, compressed: bool) -> None:
    whole = b'{"keys": [' + b" " * (ANSWER_BYTES_MAX + 1)
    sent, headers = (zlib.compress(whole), {"Content-Encoding": "deflate"}) if compressed else (whole, {})

    async def endless(request: web.Request) -> web.StreamResponse:
        return web.Response(body=sent, headers=headers)

    issuer.documents["/big"] = endless

    why = await why_not(fetcher, f"{issuer.url}/big")

    assert why == (
        "answered with a compressed body" if compressed else f"answered with more than {ANSWER_BYTES_MAX} bytes"
    )


async def test_an_answer_as_large_as_it_may_be_is_read(fetcher: Fetcher, issuer: FakeIssuer) -> None:
    async def large(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b'{"keys": []' + b" " * (ANSWER_BYTES_MAX - 12) + b"}")

    issuer.documents["/large"] = large

    assert await fetcher.get(f"{issuer.url}/large") == {"keys": []}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "answered with something other than a JSON object"),
        (b'"keys"', "answered with something other than a JSON object"),
        (b"<html>", "answered with something other than JSON"),
        (b"", "answered with something other than JSON"),
        (b'{"exp": NaN}', "answered with something other than JSON"),
        (b"\xff{}", "answered with something other than JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, None),
    ],
)
async def test_only_a_json_object_is_an_answer(
    fetcher: Fetcher, issuer: FakeIssuer, body: bytes, why: str | None
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body)

    issuer.documents["/odd"] = answer

    assert why is None or await why_not(fetcher, f"{issuer.url}/odd") == why


@pytest.mark.parametrize("trickles", [False, True])
async def test_an_answer_takes_three_seconds_at_most(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch, *, trickles: bool
) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if trickles:
            await response.prepare(request)
        while True:
            if trickles:
                await response.write(b" ")
            await asyncio.sleep(0.05)

    issuer.documents["/slow"] = slow
    monkeypatch.setattr(fetch, "TIMEOUT_S", 0.3)

    async with fetching(private_addresses=True) as hurried:
        assert await why_not(hurried, f"{issuer.url}/slow") == "no answer in time"


async def test_a_server_that_is_not_there_is_no_answer(fetcher: Fetcher) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen

        assert (await why_not(fetcher, f"http://127.0.0.1:{taken.getsockname()[1]}/")).startswith("no connection")


async def test_a_form_is_sent_with_its_authorization(fetcher: Fetcher, issuer: FakeIssuer) -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        form = await request.post()
        return web.json_response({"form": dict(form), "authorization": request.headers["Authorization"]})

    issuer.documents["/echo"] = echo

    answer = await fetcher.post(f"{issuer.url}/echo", {"token": "a&b=c"}, "Basic abc")

    assert answer == {"form": {"token": "a&b=c"}, "authorization": "Basic abc"}


@pytest.mark.parametrize(("trusted", "host"), [(True, "127.0.0.1"), (False, "127.0.0.1"), (True, "other.example")])
async def test_a_certificate_has_to_be_trusted_and_of_that_host(*, trusted: bool, host: str) -> None:
    authority = trustme.CA()
    server_tls, client_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(host).configure_cert(server_tls)
    if trusted:
        authority.configure_trust(client_tls)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"keys": []})

    app = web.Application()
    app.router.add_get("/", answer)
    server = TestServer(app, host="127.0.0.1", scheme="https")
    await server.start_server(ssl=server_tls)
    try:
        async with fetching(private_addresses=True, tls=client_tls) as fetcher:
            url = f"https://127.0.0.1:{server.port}/"
            if trusted and host == "127.0.0.1":
                assert await fetcher.get(url) == {"keys": []}
            else:
                assert "ClientConnectorCertificateError" in await why_not(fetcher, url)
    finally:
        await server.close()
