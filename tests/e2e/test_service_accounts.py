"""Service accounts on a running service: from the command that makes one to the call that its token pays for."""

import asyncio
import dataclasses
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cohort.client import ServiceAccount
from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.service_account_pb2 import CreateServiceAccountRequest, RevokeServiceAccountRequest
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import chat, embed, refused
from tests.e2e.test_operators import operate
from tests.identity.scene import each_refusal_stands_alone
from tests.unit.identity.account_tokens import Account, pem_of

ORGANISATION = "example"
IDENTITY = f'[identity]\norganisation = "{ORGANISATION}"\n'
REPLICAS_AGREE_S = 2.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path, more=IDENTITY) as running:
        yield running


async def created(service: Cohort, algorithm: str = "EdDSA", *, name: str = "indexer") -> Account:
    """A new account, as its holder has it."""
    account = Account(algorithm=algorithm)
    request = CreateServiceAccountRequest(
        team="demo", name=name, scopes=["chat", "embed"], public_key=pem_of(account.key)
    )
    made = await service.admin.CreateServiceAccount(request, metadata=service.key("admin"))
    account.id = made.service_account.id
    return account


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256"])
async def test_the_commands_lead_to_a_call_and_its_record(
    algorithm: str, service: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--team", "demo", "--name", "indexer", "--scopes", "chat,embed", "--algorithm", algorithm]
    assert await operate(service, "service-accounts", "create", *words) == 0
    file = service.folder / "service-account.json"
    file.touch(0o600)
    file.write_text(capfd.readouterr().out)
    token = ServiceAccount.from_file(file).token(["chat"], 600)

    answer = await service.stub.Chat(chat(), metadata=bearer(token))
    refusal = await refused(service.stub.Embed(embed(), metadata=bearer(token)))

    assert answer.receipt.call_id
    assert (refusal.reason, refusal.info.metadata["scope"]) == ("SCOPE_MISSING", "embed")
    account_id = json.loads(file.read_text())["id"]
    page = await service.admin.ListAuditRecords(
        ListAuditRecordsRequest(call_id=answer.receipt.call_id), metadata=service.key("admin")
    )
    intent = json.loads(page.records[0].body_json)
    assert account_id in json.dumps(intent)
    assert "indexer" in json.dumps(intent)


async def test_a_revocation_ends_tokens_that_were_used_a_moment_ago(
    service: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    account, other = await created(service), await created(service, name="other")
    token = account.token()
    await service.stub.Chat(chat(), metadata=bearer(token))

    assert await operate(service, "service-accounts", "revoke", account.id, "--note", "the laptop was lost") == 0
    refusal = await refused(service.stub.Chat(chat(), metadata=bearer(token)))

    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert service.lines()[-1]["credential_problem"] == f"revoked, of service account {account.id}"
    await service.stub.Chat(chat(), metadata=bearer(other.token()))
    await operate(service, "service-accounts", "list")
    listed = capfd.readouterr().out
    assert [line.split()[3] for line in listed.splitlines() if line.startswith("demo ")] == ["revoked", "active"]


async def test_an_audience_that_is_renamed_ends_tokens_that_were_used_a_moment_ago(service: Cohort) -> None:
    account = await created(service)
    token = account.token()
    await service.stub.Chat(chat(), metadata=bearer(token))
    config = service.config_file.read_text()
    service.config_file.write_text(config.replace(IDENTITY, f'{IDENTITY}audience = "another"\n'))

    assert service.service.reloader.reload()

    assert (await refused(service.stub.Chat(chat(), metadata=bearer(token)))).reason == "CREDENTIAL_REJECTED"
    await service.stub.Chat(chat(), metadata=bearer(account.token(aud="another")))


def _other_key(account: Account) -> str:
    forger = Account(account.id)
    return forger.token()


def _hmac(account: Account) -> str:
    return jwt.encode(account.claims(), b"k" * 32, algorithm="HS256")


BAD: dict[str, tuple[Callable[[Account], str], str]] = {
    "no signature": (lambda account: jwt.encode(account.claims(), "", algorithm="none"), "malformed token"),
    "a symmetric signature": (_hmac, "token of another algorithm"),
    "another key": (_other_key, "token with a wrong signature"),
    "an extension": (lambda account: account.token({"crit": ["b64"], "b64": True}), "token that needs an extension"),
    "expired": (lambda account: account.token(iat=1_000, exp=2_000), "expired token"),
    "not yet valid": (lambda account: account.token(nbf=int(time.time()) + 300), "token not valid yet"),
    "an end beyond time": (lambda account: account.token(exp=1e300), "token with an exp that is no time"),
    "no end": (lambda account: account.token(exp=None), "token without exp"),
    "another audience": (lambda account: account.token(aud="cohort-2"), "token for another audience"),
    "another organisation": (lambda account: account.token(org_id="other"), "token of another organisation"),
    "another subject": (lambda account: account.token(sub="sa_AAAAAAAAAAAAAAAA"), "token in the name of another"),
    "an unknown account": (lambda _: Account().token(), "token of an unknown service account"),
    "an unknown issuer": (lambda account: account.token(iss="https://login.example.com"), "token of an unknown issuer"),
    "no issuer": (lambda account: account.token(iss=None), "token without an issuer"),
    "a scope not granted": (lambda account: account.token(scopes=["admin"]), "token that asks for a scope"),
    "encrypted": (lambda account: f"{account.token()}.AAAA.AAAA", "encrypted token"),
    "a header in depth": (
        lambda account: account.spelt(b'{"alg":' + b"[" * 2_000 + b"]" * 2_000 + b"}", b"{}"),
        "malformed token",
    ),
    "claims twice": (
        lambda account: account.signed(json.dumps(account.claims()).encode()[:-1] + b',"exp":9}'),
        "token that says one thing twice",
    ),
    "a kid that is an object": (lambda account: account.token({"kid": {"a": 1}}), "malformed token"),
    "of another type": (lambda account: account.token({"typ": "at+jwt"}), "token of another type"),
    "bound to a certificate": (
        lambda account: account.token(cnf={"x5t#S256": "a" * 43}),
        "token bound to another client certificate",
    ),
    "too long": (lambda account: account.token(more="m" * 7_000), "empty or too long"),
}


async def test_every_bad_token_gets_one_answer_and_its_own_word_in_the_log(
    service: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    each_refusal_stands_alone(monkeypatch)
    account = await created(service)
    answers = set()
    told: dict[str, str] = {}
    for what, (make, _) in BAD.items():
        refusal = await refused(service.stub.Chat(chat(), metadata=bearer(make(account))))
        answers.add(dataclasses.replace(refusal, call_id="", details=()))
        assert len(refusal.details) == 1
        told[what] = str(service.lines()[-1]["credential_problem"])

    (answer,) = answers
    assert (answer.code, answer.message) == (grpc.StatusCode.UNAUTHENTICATED, "The credential is not valid")
    assert {what: why for what, why in told.items() if not why.startswith(BAD[what][1])} == {}
    assert not service.sent()


async def test_neither_key_nor_token_reaches_the_log_or_the_database(
    service: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--team", "demo", "--name", "indexer", "--scopes", "chat"]
    assert await operate(service, "service-accounts", "create", *words) == 0
    out, err = capfd.readouterr()
    members: dict[str, Any] = json.loads(out)
    private_key = load_pem_private_key(members["private_key"].encode(), None)
    assert isinstance(private_key, Ed25519PrivateKey)
    token = ServiceAccount(members).token()
    await service.stub.Chat(chat(), metadata=bearer(token))
    await refused(service.stub.Chat(chat(), metadata=bearer(token[:-8] + "AAAAAAAA")))

    with sqlite3.connect(f"file:{service.folder / 'cohort.db'}?mode=ro", uri=True) as database:
        dump = "\n".join(database.iterdump())
    database.close()
    secrets = {
        "PEM": "".join(members["private_key"].splitlines()[1:-1]),
        "raw": private_key.private_bytes_raw().hex(),
        "token": token,
        "signature": token.rpartition(".")[2][:40],
    }
    for seen in (service.log.getvalue().decode(), dump, err):
        assert {name for name, secret in secrets.items() if secret in seen} == set()


async def test_another_replica_shuts_a_revoked_account_out_within_two_seconds(
    tmp_path: Path, postgres_url: str
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        cohort(tmp_path / "one", database=postgres_url, more=IDENTITY) as one,
        cohort(tmp_path / "two", database=postgres_url, more=IDENTITY) as two,
    ):
        account = await created(one)
        token = account.token()
        await _until(two, token, grpc.StatusCode.OK)
        await one.admin.RevokeServiceAccount(RevokeServiceAccountRequest(id=account.id), metadata=one.key("admin"))

        assert await _until(two, token, grpc.StatusCode.UNAUTHENTICATED) < REPLICAS_AGREE_S


async def _until(service: Cohort, token: str, code: grpc.StatusCode) -> float:
    """Calls until the answer is this; for how long, in seconds. The test's timeout bounds it."""
    started_s = time.monotonic()
    while True:
        call = service.stub.Chat(chat(), metadata=bearer(token))
        if await call.code() == code:
            return time.monotonic() - started_s
        await asyncio.sleep(0.05)
