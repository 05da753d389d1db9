"""JWTs that are bound to a client certificate (RFC 8705), over real TLS."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.service_account_pb2 import CreateServiceAccountRequest, CreateServiceAccountResponse
from tests.e2e.requests import chat, refused
from tests.identity.authority import Issued
from tests.identity.mtls_service import EMBEDDER, INDEXER, OPERATOR, Mtls, mtls
from tests.unit.identity.account_tokens import base64url

Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Mtls]:
    async with mtls(tmp_path) as running:
        yield running


class Account:
    """A service account that an operator with a client certificate has made."""

    def __init__(self, key: Ed25519PrivateKey, made: CreateServiceAccountResponse) -> None:
        self._key, self._made = key, made

    def bearer(self, **more: Any) -> Metadata:
        """The metadata with a token that says more than it must."""
        account_id, now_s = self._made.service_account.id, int(time.time())
        claims = {
            "iss": account_id, "sub": account_id, "aud": self._made.audience, "org_id": self._made.organisation,
            "scopes": ["chat"], "iat": now_s, "exp": now_s + 600, **more,
        }  # fmt: skip
        return (("authorization", f"Bearer {jwt.encode(claims, self._key, algorithm='EdDSA')}"),)

    def bound(self, issued: Issued) -> Metadata:
        """The metadata with a token for one certificate alone."""
        return self.bearer(cnf={"x5t#S256": base64url(issued.certificate.fingerprint(hashes.SHA256()))})


@pytest.fixture
async def account(service: Mtls) -> Account:
    key = Ed25519PrivateKey.generate()
    public_key = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    request = CreateServiceAccountRequest(team="demo", name="robot", scopes=["chat"], public_key=public_key)
    async with service.channel(service.ops.workload(OPERATOR)) as channel:
        return Account(key, await AdminServiceStub(channel).CreateServiceAccount(request))


async def test_a_bound_token_is_good_with_its_certificate_alone(service: Mtls, account: Account) -> None:
    mine, another = service.prod.workload(INDEXER), service.prod.workload(INDEXER)
    bearer = account.bound(mine)
    async with service.caller(mine) as stub:
        await stub.Chat(chat(), metadata=bearer)
    async with service.caller(another) as stub:
        stolen = await refused(stub.Chat(chat(), metadata=bearer))
    async with service.caller(None, mutual=False) as stub:
        bare = await refused(stub.Chat(chat(), metadata=bearer))
    async with service.caller(mine) as stub:  # now that the token is remembered
        await stub.Chat(chat(), metadata=bearer)
    first, *refusals, last = service.cohort.lines()[-4:]

    assert stolen.reason == bare.reason == "CREDENTIAL_REJECTED"
    for line in (first, last):
        assert (line["method"], line["principal"], line["certificate"]) == ("service_account", "robot", INDEXER)
    assert [(line["credential_problem"], line.get("certificate")) for line in refusals] == [
        ("token bound to another client certificate", INDEXER),
        ("token bound to another client certificate", None),
    ]


async def test_a_token_may_be_bound_to_a_certificate_that_is_nobodys(service: Mtls, account: Account) -> None:
    issued = service.prod.issue([x509.DNSName("robot.example.com")])
    async with service.caller(issued) as stub:
        await stub.Chat(chat(), metadata=account.bound(issued))

    assert service.cohort.lines()[-1]["principal"] == "robot"


async def test_a_token_that_is_not_bound_is_good_with_any_certificate_and_none(service: Mtls, account: Account) -> None:
    async with service.caller(service.prod.workload(EMBEDDER)) as stub:
        await stub.Chat(chat(), metadata=account.bearer())
    async with service.caller(None, mutual=False) as stub:
        await stub.Chat(chat(), metadata=account.bearer())

    assert [line["principal"] for line in service.cohort.lines()[-2:]] == ["robot", "robot"]


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {"x5t#S256": 5}, {}, "x", [], None])
async def test_a_binding_that_is_not_understood_is_no_binding_to_nothing(
    service: Mtls, account: Account, cnf: object
) -> None:
    async with service.caller(service.prod.workload(INDEXER)) as stub:
        refusal = await refused(stub.Chat(chat(), metadata=account.bearer(cnf=cnf)))

    assert refusal.reason == "CREDENTIAL_REJECTED"
