"""What changes while the service runs: bundles, certificates, the time, the config."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from cryptography import x509

from service.identity.peer import REFUSAL_KEPT_S
from service.interceptors import auth
from tests.e2e.requests import Refusal, chat, refusal_of, refused, until
from tests.identity.authority import Authority
from tests.identity.mtls_service import GRANTS, INDEXER, Mtls, identity_lines, mtls

if TYPE_CHECKING:
    from cohort.v1.gateway_service_pb2_grpc import GatewayServiceAsyncStub

NEWCOMER = "spiffe://new.example.com/newcomer"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Mtls]:
    async with mtls(tmp_path) as running:
        yield running


def later(monkeypatch: pytest.MonkeyPatch, by_s: float) -> None:
    """Makes the check of credentials believe that it is later."""
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: time.time() + by_s))


async def test_a_connection_does_not_outlive_its_certificate(service: Mtls, monkeypatch: pytest.MonkeyPatch) -> None:
    async with service.caller(service.prod.workload(INDEXER, hours=1)) as stub:
        await stub.Chat(chat())
        later(monkeypatch, 3599 - 60)
        await stub.Chat(chat())
        later(monkeypatch, 3601)
        refusal = await refused(stub.Chat(chat()))

    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert service.cohort.lines()[-1]["credential_problem"] == "expired client certificate"


async def test_authorities_come_and_go_under_running_calls(service: Mtls) -> None:
    old, new = service.prod, Authority("next")
    async with service.caller(old.workload(INDEXER)) as early:
        await early.Chat(chat())
        running = asyncio.ensure_future(calls_until_refused(early))
        service.trust("prod.example.com", [old, new])
        async with service.caller(new.workload(INDEXER)) as late:
            await late.Chat(chat())  # the very first handshake after the change
            await early.Chat(chat())
            service.trust("prod.example.com", [new])
            answered, refusal = await running
            await late.Chat(chat())
    let_in = await service.lets_in(service.context(old.workload(INDEXER)))

    assert answered > 0
    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert not let_in
    assert [line["file"] for line in service.cohort.lines("trust bundle read again")] == [
        str(service.folder / "prod.example.com.pem")
    ] * 2


async def calls_until_refused(stub: "GatewayServiceAsyncStub") -> tuple[int, Refusal]:
    """Calls again and again; gives how many were answered, and the refusal."""
    for answered in itertools.count():
        try:
            await stub.Chat(chat())
        except grpc.aio.AioRpcError as error:
            return answered, refusal_of(error)
    raise AssertionError


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("cut off", "holds no certificates, or broken ones"),
        ("emptied", "holds no certificates, or broken ones"),
        ("gone", "No such file or directory"),
    ],
)
async def test_a_bundle_that_cannot_be_used_changes_nothing_and_is_told_of_once(
    service: Mtls, how: str, problem: str
) -> None:
    issued, file = service.prod.workload(INDEXER), service.folder / "prod.example.com.pem"
    async with service.caller(issued) as early:
        await early.Chat(chat())
        if how == "gone":
            file.unlink()
        else:
            file.write_bytes(service.prod.pem[:-40] if how == "cut off" else b"")
        await until(lambda: service.cohort.lines("trust bundle not readable"))
        for _ in range(3):
            await early.Chat(chat())
            async with service.caller(issued) as stub:
                await stub.Chat(chat())
    reloaded = service.cohort.service.reloader.reload()
    (line,) = service.cohort.lines("trust bundle not readable")

    assert reloaded  # other changes do not wait for it
    assert (line["problem"], line["file"]) == (problem, str(file))


async def test_the_last_authority_of_a_trust_domain_goes_with_it_though_its_bundle_is_empty(service: Mtls) -> None:
    (service.folder / "prod.example.com.pem").write_bytes(b"")
    of_ops = {spiffe_id: grant for spiffe_id, grant in GRANTS.items() if "//ops." in spiffe_id}
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        await stub.Chat(chat())
        both = identity_lines(["prod.example.com", "ops.example.com"], GRANTS)
        rewrite(service, both, identity_lines(["ops.example.com"], of_ops))
        reloaded = service.cohort.service.reloader.reload()
        gone = await refused(stub.Chat(chat()))
    let_in = await service.lets_in(service.context(service.prod.workload(INDEXER)))

    assert reloaded
    assert gone.reason == "CREDENTIAL_REJECTED"
    assert not let_in


async def test_the_ids_of_the_last_trust_domain_go_without_it(service: Mtls) -> None:
    both = identity_lines(["prod.example.com", "ops.example.com"], GRANTS)
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        await stub.Chat(chat())
        rewrite(service, both, identity_lines(["prod.example.com"], {}))
        reloaded = service.cohort.service.reloader.reload()
        gone = await refused(stub.Chat(chat()))

    assert reloaded
    assert gone.reason == "CREDENTIAL_REJECTED"


async def test_the_servers_own_certificate_is_renewed_on_both_ports(service: Mtls) -> None:
    new = Authority("server")
    issued = new.issue([x509.DNSName("localhost")])
    service.server = new
    before = [await service.lets_in(service.context(service.prod.workload(INDEXER)), mutual=m) for m in (True, False)]
    (service.folder / "server.key").write_bytes(issued.key_pem)
    (service.folder / "server.pem").write_bytes(issued.pem)
    after = [await service.lets_in(service.context(service.prod.workload(INDEXER)), mutual=m) for m in (True, False)]

    assert before == [False, False]
    assert after == [True, True]


def rewrite(service: Mtls, before: str, after: str) -> None:
    file = service.cohort.config_file
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


async def test_ids_and_trust_domains_change_with_a_reload(service: Mtls, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority("new")
    service.trust("new.example.com", [authority])
    domains = ["prod.example.com", "ops.example.com"]
    grants = {NEWCOMER: 'team = "demo"\nname = "newcomer"\nscopes = ["chat"]'}
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        await stub.Chat(chat())
        rewrite(service, identity_lines(domains, GRANTS), identity_lines(["new.example.com"], grants))
        reloaded = service.cohort.service.reloader.reload()
        gone = await refused(stub.Chat(chat()))
    problem = service.cohort.lines()[-1]["credential_problem"]
    async with service.caller(authority.workload(NEWCOMER)) as stub:
        await stub.Chat(chat())
    let_in = await service.lets_in(service.context(service.prod.workload(INDEXER)))
    rewrite(service, identity_lines(["new.example.com"], grants), identity_lines([*domains, "new.example.com"], GRANTS))
    service.cohort.service.reloader.reload()
    later(monkeypatch, REFUSAL_KEPT_S)
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        await stub.Chat(chat())

    assert reloaded
    assert (gone.reason, problem) == ("CREDENTIAL_REJECTED", "client certificate of an unknown trust domain")
    assert not let_in


async def test_a_reload_that_names_no_usable_bundle_is_refused_whole(service: Mtls) -> None:
    rewrite(service, 'bundle_file = "ops.example.com.pem"', 'bundle_file = "missing.pem"')
    reloaded = service.cohort.service.reloader.reload()
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        await stub.Chat(chat())
    # The service looks at its config itself, too.
    problems = [line["problems"] for line in service.cohort.lines("reload refused")]

    assert not reloaded
    assert problems[0] == [
        f"identity.trust_domains.ops.example.com.bundle_file: {service.folder}/missing.pem: No such file or directory"
    ]


async def test_another_port_needs_a_restart(service: Mtls) -> None:
    rewrite(service, '[server.mtls]\nlisten = "127.0.0.1:0"', '[server.mtls]\nlisten = "127.0.0.1:1"')

    assert not service.cohort.service.reloader.reload()
    await until(lambda: service.cohort.lines("reload refused"))
    assert service.cohort.lines("reload refused")[0]["problems"] == ["server: a change needs a restart"]


async def test_without_trust_domains_the_port_is_refused(service: Mtls) -> None:
    rewrite(service, identity_lines(["prod.example.com", "ops.example.com"], GRANTS), "")

    assert not service.cohort.service.reloader.reload()
