"""A whole service with every kind of credential: two teams, two issuers, a trust domain, and the sandbox as Cohere."""

import contextlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import orjson
import pytest
from cryptography import x509

from clients.sandbox import Sandbox
from service import config
from service.books import refusals
from service.books.books import Books
from service.identity import access_keys
from service.identity.importing import import_keys
from service.server import Running, running
from tests.books_lines import books_lines
from tests.identity.authority import Authority, Issued
from tests.identity.issuer import Issuer
from tests.identity.minters import SEALS, Minters, Presented, far_us, minters, new_key
from tests.key_tables import PEPPER, at_books

CLIENT_SECRET = "client-secret-of-the-tests"
SEARCH_MODELS = ("command-a-03-2025", "embed-v4.0", "rerank-v3.5")
SPARES = 256
ADS_MODELS = ("command-r7b-12-2024",)


@dataclass
class Scene:
    """What a test needs of it."""

    service: Running
    sandbox: Sandbox
    folder: Path
    minters: Minters
    authority: Authority
    log: io.BytesIO
    issuers: dict[str, Issuer]
    spares: list[str]
    """Ids of access keys of the team `search` that nobody uses: to rotate, to revoke."""
    _channels: dict[bytes, grpc.aio.Channel] = field(default_factory=dict)

    def channel(self, certificate: Issued | None = None) -> grpc.aio.Channel:
        """To the port for all, or with a client certificate to the one that asks for it."""
        key = b"" if certificate is None else certificate.pem
        if key not in self._channels:
            self._channels[key] = self._opened(certificate)
        return self._channels[key]

    def mtls_channel(self) -> grpc.aio.Channel:
        """To the port that asks for a certificate, without one."""
        if b"none" not in self._channels:
            credentials = grpc.ssl_channel_credentials(self.authority.pem)
            self._channels[b"none"] = grpc.aio.secure_channel(f"localhost:{self.service.mtls_port}", credentials)
        return self._channels[b"none"]

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log.getvalue().splitlines()]

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    def _opened(self, certificate: Issued | None) -> grpc.aio.Channel:
        if certificate is None:
            credentials = grpc.ssl_channel_credentials(self.authority.pem)
            return grpc.aio.secure_channel(f"localhost:{self.service.port}", credentials)
        credentials = grpc.ssl_channel_credentials(self.authority.pem, certificate.key_pem, certificate.pem)
        return grpc.aio.secure_channel(f"localhost:{self.service.mtls_port}", credentials)


def each_refusal_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lifts the bounds of a flood: each refusal has a log line and a record to be looked at."""
    for bound in ("RECORDS_MAX", "TEAM_RECORDS_MAX"):
        monkeypatch.setattr(refusals, bound, 10**6)


def presented(scene: Scene, shown: Presented) -> tuple[grpc.aio.Channel, tuple[tuple[str, str], ...]]:
    """The channel and the metadata that show a credential."""
    return scene.channel(shown.certificate), shown.metadata


@contextlib.asynccontextmanager
async def scene(
    folder: Path,
    *,
    database: str = "sqlite:cohort.db",
    before: Callable[[Books], Awaitable[None]] | None = None,
    cohere_key: str = "sandbox-production",
    client_secret: str = CLIENT_SECRET,
    books: str = "",
    more: str = "",
) -> AsyncIterator[Scene]:
    """Starts it.

    Args:
        folder: Where config, keys and certificates go.
        database: Where the books are kept.
        before: Puts more into the database before the start.
        cohere_key: Of both teams.
        client_secret: With which the service asks the issuer of opaque tokens.
        books: More lines of [books].
        more: More tables of the config.
    """
    sandbox = Sandbox()
    issuers = {"jwts": Issuer(client_secret), "opaque": Issuer(client_secret)}
    authority = Authority("server")
    async with sandbox.serve() as url, issuers["jwts"].serve(), issuers["opaque"].serve():
        made = minters(issuers["jwts"], issuers["opaque"])
        for name, text in {"pepper": PEPPER, "client.secret": client_secret, "cohere.key": cohere_key}.items():
            (folder / name).write_text(text)
        _write_certificate(folder, authority)
        _write_config(folder, made, url, books_lines(folder, database=database, more=books), more)
        loaded = config.load(folder / "cohort.toml")

        spares = [access_keys.create("test") for _ in range(SPARES)]

        async def write(books: Books) -> None:
            for minter in made.by_kind().values():
                await minter.write(books)
            rows = [new_key(*spare, team="search", scope="keys:rotate", expires_at_us=far_us()) for spare in spares]
            await books.change(import_keys(rows, "tests", SEALS))
            if before is not None:
                await before(books)

        at_books(loaded, write)
        log = io.BytesIO()
        async with running(loaded, log) as service:
            made_scene = Scene(
                service, sandbox, folder, made, authority, log, issuers, [key_id for key_id, _ in spares]
            )
            try:
                yield made_scene
            finally:
                await made_scene.close()


def _write_certificate(folder: Path, authority: Authority) -> None:
    issued = authority.issue([x509.DNSName("localhost")])
    (folder / "server.pem").write_bytes(issued.pem)
    (folder / "server.key").write_bytes(issued.key_pem)


def _write_config(folder: Path, made: Minters, url: str, books: str, more: str) -> None:
    teams = "".join(
        f'[teams.{name}]\ncohere_key = "file:cohere.key"\nbase_url = "{url}"\n'
        f"models = {orjson.dumps(models).decode()}\nmax_tokens_per_call = 500\ndaily_budget_usd = 1000\n"
        for name, models in {"search": SEARCH_MODELS, "ads": ADS_MODELS}.items()
    )
    identity = "".join(minter.config(folder) for minter in made.by_kind().values())
    (folder / "cohort.toml").write_text(
        'environment = "test"\n[server]\nlisten = "127.0.0.1:0"\ndrain_seconds = 5\n'
        '[server.tls]\ncertificate_file = "server.pem"\nprivate_key_file = "server.key"\n'
        '[server.mtls]\nlisten = "127.0.0.1:0"\n'
        f'[metrics]\nlisten = "127.0.0.1:0"\n[cohere]\nsandbox = true\nbase_url = "{url}"\n'
        '[cohere.pacing]\nkey_kind = "off"\n[peppers]\n1 = "file:pepper"\n'
        f"{books}{teams}{identity}{more}"
    )
