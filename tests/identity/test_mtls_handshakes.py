"""Whom TLS itself does not let in."""

import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.e2e.requests import chat
from tests.identity.authority import Authority, Issued
from tests.identity.mtls_service import INDEXER, Mtls, mtls


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Mtls]:
    async with mtls(tmp_path) as running:
        yield running


async def test_a_good_certificate_is_let_in(service: Mtls) -> None:
    assert await service.lets_in(service.context(service.prod.workload(INDEXER)))


async def test_only_the_port_for_all_lets_in_without_a_certificate(service: Mtls) -> None:
    assert await service.lets_in(service.context(None), mutual=False)
    assert not await service.lets_in(service.context(None))


async def test_a_certificate_that_no_trust_domain_signed_is_not_let_in(service: Mtls) -> None:
    strangers = (
        Authority("stranger").workload(INDEXER),
        Authority("prod").workload(INDEXER),  # of the same name
        service.server.workload(INDEXER),  # whoever signs for servers signs for no callers
    )
    for issued in strangers:
        assert not await service.lets_in(service.context(issued))
        async with service.caller(issued) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.Chat(chat())
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert service.cohort.lines() == []


async def test_a_certificate_out_of_its_time_is_not_let_in(service: Mtls) -> None:
    expired = service.prod.workload(INDEXER, from_hours=-2, hours=-1)
    future = service.prod.workload(INDEXER, from_hours=1, hours=2)
    for issued in (expired, future):
        assert not await service.lets_in(service.context(issued))


async def test_a_certificate_without_its_key_is_not_let_in(service: Mtls) -> None:
    issued = service.prod.workload(INDEXER)
    thief = ec.generate_private_key(ec.SECP256R1())
    # OpenSSL compares the public halves and uses the private one: a key that says to be the other's gets past it.
    encoded = thief.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    wrong, right = (
        key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for key in (thief, issued.key)
    )
    assert encoded.count(wrong) == 1
    forged = encoded.replace(wrong, right)
    context = service.context(None)
    chain = service.folder / "thief.pem"
    chain.write_bytes(issued.pem + pem_of("EC PRIVATE KEY", forged))
    context.load_cert_chain(chain)

    assert not await service.lets_in(context)


def pem_of(kind: str, der: bytes) -> bytes:
    body = ssl.DER_cert_to_PEM_cert(der)
    return body.replace("CERTIFICATE", kind).encode()


@pytest.mark.parametrize("mutual", [True, False])
async def test_tls_before_1_2_is_not_spoken(service: Mtls, mutual: bool) -> None:  # noqa: FBT001
    issued: Issued = service.prod.workload(INDEXER)
    spoken = {}
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = service.context(issued)
        context.set_ciphers("ALL:@SECLEVEL=0")  # else this side would not speak it, either
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        spoken[version.name] = await service.lets_in(context, mutual=mutual)

    assert spoken == {"TLSv1_1": False, "TLSv1_2": True, "TLSv1_3": True}
