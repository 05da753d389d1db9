"""How the reasons of the books are reached, with the details that tell of them. Importing it fills the table."""

import asyncio
import datetime
import time
from collections.abc import Awaitable

import apsw
import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.rpc import error_details_pb2

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest, RotateAccessKeyRequest
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.budget_pb2 import AdjustBudgetRequest, Budget, SetTeamFrozenRequest
from cohort.v1.rotate_key_pb2 import RotateKeyRequest, RotateKeyResponse
from cohort.v1.service_account_pb2 import CreateServiceAccountRequest, RevokeServiceAccountRequest
from service.book_refusals import rfc3339_of
from service.money import money_of, nanos_of, usd_of
from service.quote import quote_of
from tests.e2e.cohort_service import Cohort
from tests.e2e.reason_cases import reaches
from tests.e2e.requests import Refusal, chat, refused, until
from tests.identity.issuers.fake_issuer import fake_issuer
from tests.identity.issuers.signing import claims, ec_key

C = grpc.StatusCode
LIMIT = 1000 * 1_000_000_000


def hold_nanos(service: Cohort) -> int:
    """What `chat()` holds."""
    snapshot = service.service.reloader.snapshot
    cap = snapshot.policy_of("demo").max_tokens_per_call
    return quote_of(snapshot.price_book, "demo", "chat", chat(max_tokens=cap)).hold_nanos


async def adjusted(service: Cohort, nanos: int, *, team: str = "demo", request_id: str = "one") -> Budget:
    request = AdjustBudgetRequest(team=team, amount=money_of(nanos), note="a test", request_id=request_id)
    admin = (("x-api-key", service.access_keys["admin"]),)
    response = await AdminServiceStub(service.channel).AdjustBudget(request, metadata=admin)
    budget: Budget = response.budget
    return budget


def quota_subjects(refusal: Refusal) -> list[str]:
    (quota,) = refusal.of(error_details_pb2.QuotaFailure)
    return [violation.subject for violation in quota.violations]


@reaches("BUDGET_SPENT", C.RESOURCE_EXHAUSTED)
async def _spent(service: Cohort) -> Refusal:
    budget = await adjusted(service, LIMIT - 1)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    resets_at = budget.resets_at.ToDatetime(datetime.UTC)
    left = resets_at - datetime.datetime.now(datetime.UTC)

    assert dict(refusal.info.metadata) == {
        "budget": "demo",
        "limit_usd": "1000.00",
        "spent_usd": "999.999999999",
        "held_usd": "0.00",
        "available_usd": "0.000000001",
        "hold_usd": usd_of(hold_nanos(service)),
        "resets_at": rfc3339_of(budget.resets_at.ToMicroseconds()),
    }
    assert quota_subjects(refusal) == ["team:demo"]
    assert refusal.retry_s is not None
    assert abs(refusal.retry_s - left.total_seconds()) < 5
    return refusal


@reaches("BUDGET_IN_FLIGHT", C.RESOURCE_EXHAUSTED)
async def _in_flight(service: Cohort) -> Refusal:
    hold = hold_nanos(service)
    await adjusted(service, LIMIT - hold)
    service.fault(latency_ms=1500)
    first = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
    await until(service.sent)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    first.cancel()
    metadata = refusal.info.metadata

    assert (metadata["budget"], metadata["available_usd"]) == ("demo", "0.00")
    assert (metadata["held_usd"], metadata["hold_usd"]) == (usd_of(hold), usd_of(hold))
    assert (metadata["spent_usd"], metadata["limit_usd"]) == (usd_of(LIMIT - hold), "1000.00")
    assert quota_subjects(refusal) == ["team:demo"]
    assert refusal.retry_s == 2
    return refusal


@reaches("HOLD_EXCEEDS_LIMIT", C.FAILED_PRECONDITION, budget_usd="0.001")
async def _hold_exceeds(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    hold = usd_of(hold_nanos(service))
    assert dict(refusal.info.metadata) == {"budget": "demo", "limit_usd": "0.001", "hold_usd": hold}
    assert refusal.retry_s is None
    assert not service.sent()
    return refusal


@reaches("MODEL_NOT_PRICED", C.FAILED_PRECONDITION, models='["command-a-translate-08-2025"]')
async def _not_priced(service: Cohort) -> Refusal:
    refusal = await refused(service.stub.Chat(chat(model="command-a-translate-08-2025"), metadata=service.credentials))

    version = service.service.reloader.snapshot.price_book.version
    assert dict(refusal.info.metadata) == {
        "budget": "demo", "model": "command-a-translate-08-2025", "price_book_version": version,
    }  # fmt: skip
    assert refusal.fields == {"model"}
    assert "books.prices" in refusal.message
    return refusal


@reaches("TEAM_FROZEN", C.FAILED_PRECONDITION)
async def _frozen(service: Cohort) -> Refusal:
    admin = (("x-api-key", service.access_keys["admin"]),)
    request = SetTeamFrozenRequest(team="demo", frozen=True, note="a test")
    await AdminServiceStub(service.channel).SetTeamFrozen(request, metadata=admin)
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    assert dict(refusal.info.metadata) == {"budget": "demo"}
    return refusal


@reaches("BOOKS_UNAVAILABLE", C.UNAVAILABLE)
async def _locked(service: Cohort) -> Refusal:
    other = apsw.Connection(str(service.folder / "cohort.db"))
    other.set_busy_timeout(10_000)
    with other:
        other.execute("UPDATE budget SET frozen_at_us = 0")  # another program's transaction locks the file
        refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))

    other.close()
    assert dict(refusal.info.metadata) == {"budget": "demo"}
    assert refusal.retry_s == 1
    assert not service.sent()
    return refusal


@reaches("TEAM_UNKNOWN", C.NOT_FOUND)
async def _unknown_team(service: Cohort) -> Refusal:
    refusal = await refused(adjusted(service, 1, team="demos"))

    assert dict(refusal.info.metadata) == {"team": "demos"}
    assert refusal.fields == {"team"}
    return refusal


@reaches("ADJUSTMENT_BELOW_ZERO", C.FAILED_PRECONDITION)
async def _below_zero(service: Cohort) -> Refusal:
    await adjusted(service, 5_000_000_000)
    refusal = await refused(adjusted(service, -5_000_000_001, request_id="two"))

    assert dict(refusal.info.metadata) == {
        "budget": "demo", "amount_usd": "-5.000000001", "spent_usd": "5.00", "held_usd": "0.00",
    }  # fmt: skip
    assert refusal.fields == {"amount"}
    return refusal


@reaches("REQUEST_ID_REUSED", C.ALREADY_EXISTS)
async def _reused(service: Cohort) -> Refusal:
    first = await adjusted(service, 1)
    again = await adjusted(service, 1)
    refusal = await refused(adjusted(service, 2))

    assert nanos_of(first.spent) == nanos_of(again.spent) == 1
    assert dict(refusal.info.metadata) == {"request_id": "one"}
    assert refusal.fields == {"request_id"}
    return refusal


@reaches(
    "CREDENTIAL_UNVERIFIABLE",
    C.UNAVAILABLE,
    # Port 9 of this machine, where nobody answers.
    more='[identity.issuers.away]\nissuer = "http://127.0.0.1:9/"\nprivate_addresses = true\n',
)
async def _issuer_away(service: Cohort) -> Refusal:
    now_s = int(time.time())
    claims = {"iss": "http://127.0.0.1:9/", "sub": "ada", "aud": "cohort", "client_id": "cli", "iat": now_s}
    key = ec.generate_private_key(ec.SECP256R1())
    headers = {"typ": "at+jwt", "kid": "one"}
    token = jwt.encode({**claims, "exp": now_s + 60}, key, algorithm="ES256", headers=headers)
    refusal = await refused(service.stub.Chat(chat(), metadata=(("authorization", f"Bearer {token}"),)))

    assert refusal.retry_s == 5
    return refusal


@reaches("SERVICE_ACCOUNTS_OFF", C.FAILED_PRECONDITION)
async def _no_organisation(service: Cohort) -> Refusal:
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    request = CreateServiceAccountRequest(team="demo", name="indexer", scopes=["chat"], public_key=key.decode())
    return await refused(service.admin.CreateServiceAccount(request, metadata=service.key("admin")))


@reaches("CREDENTIAL_UNKNOWN", C.NOT_FOUND)
async def _unknown_account(service: Cohort) -> Refusal:
    request = RevokeServiceAccountRequest(id="sa_AAAAAAAAAAAAAAAA")
    refusal = await refused(service.admin.RevokeServiceAccount(request, metadata=service.key("admin")))

    assert dict(refusal.info.metadata) == {"id": "sa_AAAAAAAAAAAAAAAA"}
    assert refusal.fields == {"id"}
    return refusal


@reaches("CREDENTIAL_NOT_ACTIVE", C.FAILED_PRECONDITION)
async def _rotated_before(service: Cohort) -> Refusal:
    key_id = service.access_keys["narrow"].split("_")[2]
    request = RotateAccessKeyRequest(id=key_id)
    await service.admin.RotateAccessKey(request, metadata=service.key("admin"))
    refusal = await refused(service.admin.RotateAccessKey(request, metadata=service.key("admin")))

    assert dict(refusal.info.metadata) == {"id": key_id, "state": "REPLACED"}
    assert refusal.fields == {"id"}
    return refusal


@reaches("ACCESS_KEYS_OFF", C.FAILED_PRECONDITION)
async def _no_pepper(service: Cohort) -> Refusal:
    key = ec_key()
    async with fake_issuer(key) as issuer:
        text = service.config_file.read_text().replace('[peppers]\n1 = "file:pepper"', "[peppers]")
        service.config_file.write_text(
            f'{text}\n[identity.issuers.company]\nissuer = "{issuer.url}"\nprivate_addresses = true\n'
            'algorithms = ["ES256"]\nscopes = { operate = ["admin"] }\n'
        )
        assert service.service.reloader.reload()
        request = CreateAccessKeyRequest(team="demo", name="indexer", scopes=["chat"])
        request.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
        bearer = (("authorization", f"Bearer {key.sign(claims(issuer.url, team='demo', scope='operate'))}"),)
        return await refused(service.admin.CreateAccessKey(request, metadata=bearer))


@reaches("KEY_SOURCE_READ_ONLY", C.FAILED_PRECONDITION)
async def _inline_beside_a_file(service: Cohort) -> Refusal:
    request = RotateKeyRequest(team="demo", inline_key="canary")
    refusal = await refused(service.stub.RotateKey(request, metadata=service.key("admin")))

    assert dict(refusal.info.metadata) == {"team": "demo", "source": "file"}
    assert refusal.fields == {"inline_key"}
    return refusal


@reaches("ROTATION_UNDER_WAY", C.ABORTED, reference="held:", more='[secrets.held.keks]\n1 = "file:kek"\n')
async def _rotated_twice_at_once(service: Cohort) -> Refusal:
    service.fault(path="/v1/check-api-key", latency_ms=1000, times=5)

    def rotate(value: str) -> Awaitable[RotateKeyResponse]:
        return service.stub.RotateKey(
            RotateKeyRequest(team="demo", inline_key=value), metadata=service.key("admin"), timeout=20
        )

    first = asyncio.ensure_future(rotate("sandbox-production"))
    await until(lambda: any(each.path == "/v1/check-api-key" for each in service.sandbox.state.requests.all()))
    refusal = await refused(rotate("sandbox-trial"))
    rotation = (await first).rotation

    assert dict(refusal.info.metadata) == {"team": "demo", "rotation": rotation.id}
    assert refusal.retry_s == 5
    return refusal
