"""A whole Cohort with a port for client certificates of two trust domains, and callers that show them."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import orjson
from cryptography import x509

from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.audit_pb2 import ListAuditRecordsRequest, ListAuditRecordsResponse
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.e2e.cohort_service import Cohort, cohort
from tests.identity.authority import Authority, Issued

if TYPE_CHECKING:
    from cohort.v1.gateway_service_pb2_grpc import GatewayServiceAsyncStub

INDEXER = "spiffe://prod.example.com/search/indexer"
EMBEDDER = "spiffe://prod.example.com/search/embedder"
NARROW = "spiffe://prod.example.com/search/narrow"
OPERATOR = "spiffe://ops.example.com/operator"
GRANTS = {
    INDEXER: 'team = "demo"\nname = "indexer"\nscopes = ["chat"]',
    EMBEDDER: 'team = "demo"\nname = "embedder"\nscopes = ["embed"]',
    NARROW: (
        'team = "demo"\nname = "narrow"\nscopes = ["chat"]\nmodels = ["command-r7b-12-2024"]\nmax_tokens_per_call = 7'
    ),
    OPERATOR: 'team = "demo"\nname = "operator"\nscopes = ["admin"]',
}
SERVER = (
    '[server.tls]\ncertificate_file = "server.pem"\nprivate_key_file = "server.key"\n'
    '[server.mtls]\nlisten = "127.0.0.1:0"'
)
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""With what a caller begins HTTP/2; a server that lets it in answers."""


@dataclass
class Mtls:
    """A running service, and the authorities around it."""

    cohort: Cohort
    server: Authority
    prod: Authority
    ops: Authority

    @property
    def folder(self) -> Path:
        return self.cohort.folder

    @contextlib.asynccontextmanager
    async def channel(self, issued: Issued | None, *, mutual: bool = True) -> AsyncIterator[grpc.aio.Channel]:
        """A connection of its own, to the port that asks for a certificate or to the other one.

        Args:
            issued: The certificate to show; None for none.
            mutual: Whether it goes to the port that asks for one.
        """
        shown = (None, None) if issued is None else (issued.key_pem, issued.pem + issued.chain_pem)
        credentials = grpc.ssl_channel_credentials(self.server.pem, *shown)
        port = self.cohort.service.mtls_port if mutual else self.cohort.service.port
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
            yield channel

    @contextlib.asynccontextmanager
    async def caller(self, issued: Issued | None, *, mutual: bool = True) -> AsyncIterator["GatewayServiceAsyncStub"]:
        """A caller with a connection of its own; see `channel`."""
        async with self.channel(issued, mutual=mutual) as channel:
            yield GatewayServiceStub(channel)

    async def records(self) -> list[dict[str, Any]]:
        """All records of the audit trail, as an operator with a client certificate sees them."""
        async with self.channel(self.ops.workload(OPERATOR)) as channel:
            request = ListAuditRecordsRequest(all_teams=True, page_size=1000)
            listed: ListAuditRecordsResponse = await AdminServiceStub(channel).ListAuditRecords(request)
        return [orjson.loads(record.body_json) for record in listed.records]

    def trust(self, trust_domain: str, authorities: Sequence[Authority]) -> None:
        """Writes the bundle of a trust domain."""
        write_bundle(self.folder, trust_domain, authorities)

    def context(self, issued: Issued | None) -> ssl.SSLContext:
        """What a caller that speaks TLS itself needs."""
        context = ssl.create_default_context(cadata=self.server.pem.decode())
        context.set_alpn_protocols(["h2"])  # without it nobody is let in
        if issued is not None:
            chain = self.folder / "caller.pem"
            chain.write_bytes(issued.pem + issued.chain_pem + issued.key_pem)
            context.load_cert_chain(chain)
        return context

    async def lets_in(self, context: ssl.SSLContext, *, mutual: bool = True) -> bool:
        """Whether the service answers a caller's first bytes, or ends the connection."""
        port = self.cohort.service.mtls_port if mutual else self.cohort.service.port

        def greeted() -> bool:
            with socket.create_connection(("127.0.0.1", port)) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="localhost") as secured:
                        secured.sendall(GREETING)
                        return bool(secured.recv(9))
                except (ssl.SSLError, ConnectionError):
                    return False

        return await asyncio.to_thread(greeted)


def write_bundle(folder: Path, trust_domain: str, authorities: Sequence[Authority]) -> None:
    text = b"".join(each.pem for each in authorities)
    # As tools do it: whole, or not at all.
    (folder / "next.pem").write_bytes(text)
    (folder / "next.pem").rename(folder / f"{trust_domain}.pem")


def identity_lines(trust_domains: Sequence[str], grants: dict[str, str]) -> str:
    """The tables of trust domains and SPIFFE ids."""
    domains = "".join(f'[identity.trust_domains."{name}"]\nbundle_file = "{name}.pem"\n' for name in trust_domains)
    ids = "".join(f'[identity.spiffe_ids."{spiffe_id}"]\n{grant}\n' for spiffe_id, grant in grants.items())
    return f'[identity]\norganisation = "example"\n{domains}{ids}'


@contextlib.asynccontextmanager
async def mtls(folder: Path) -> AsyncIterator[Mtls]:
    """Starts it."""
    server, prod, ops = Authority("server"), Authority("prod"), Authority("ops")
    issued = server.issue([x509.DNSName("localhost")])
    (folder / "server.pem").write_bytes(issued.pem)
    (folder / "server.key").write_bytes(issued.key_pem)
    write_bundle(folder, "prod.example.com", [prod])
    write_bundle(folder, "ops.example.com", [ops])
    identity = identity_lines(["prod.example.com", "ops.example.com"], GRANTS)
    async with cohort(folder, server=SERVER, more=identity) as running:
        yield Mtls(running, server, prod, ops)
