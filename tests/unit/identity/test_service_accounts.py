"""Whom the JWTs of service accounts stand for, and that nobody else can make one."""

import time
from collections.abc import Callable

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service import public_keys
from service.identity.directory import ServiceAccountRecord
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.tokens import peek
from tests.unit.identity.account_tokens import (
    ACCOUNT,
    ACCOUNTS,
    AUDIENCE,
    ES256,
    ORGANISATION,
    OTHER,
    Account,
    base64url,
    knowing,
    pem_of,
    refused,
    verified,
)

NOW_S = int(time.time())


@pytest.mark.parametrize("account", [ACCOUNT, ES256], ids=["EdDSA", "ES256"])
async def test_a_token_gives_the_account_with_the_scopes_that_it_asks_for(account: Account) -> None:
    token = account.token(scopes=["embed"])

    found = await verified(ACCOUNTS, token)

    assert found.principal.team == "search"
    assert found.principal.name == "indexer"
    assert found.principal.method == "service_account"
    assert found.principal.credential_id == account.id
    assert found.principal.scopes == {"embed"}
    assert found.principal.models == {"command-a-03-2025"}
    assert found.principal.max_tokens_per_call == 100
    assert found.certificate_hash is None


async def test_a_name_in_the_token_changes_nothing() -> None:
    found = await verified(ACCOUNTS, ACCOUNT.token(name="root", team="other", models=["*"]))

    assert found.principal.name == "indexer"
    assert found.principal.team == "search"


async def test_a_token_is_good_for_the_skew_of_the_clocks_beyond_its_end() -> None:
    token = ACCOUNT.token(iat=NOW_S - 600, exp=NOW_S)

    assert (await ACCOUNTS.verify(token, peek(token), NOW_S + 29.9)).expires_at_s == NOW_S + 30
    with pytest.raises(CredentialRefused, match="expired token"):
        await ACCOUNTS.verify(token, peek(token), NOW_S + 30)


async def test_a_token_is_good_when_the_clock_of_the_caller_is_ahead_by_the_skew() -> None:
    token = ACCOUNT.token(iat=NOW_S + 30, nbf=NOW_S + 30, exp=NOW_S + 60)

    assert (await ACCOUNTS.verify(token, peek(token), NOW_S)).principal.scopes == {"chat"}


async def test_a_token_may_live_for_a_day() -> None:
    assert (await verified(ACCOUNTS, ACCOUNT.token(iat=NOW_S, exp=NOW_S + 24 * 3600))).principal.team == "search"


async def test_times_may_have_fractions() -> None:
    token = ACCOUNT.token(iat=NOW_S - 0.5, exp=NOW_S + 9.5)

    assert (await verified(ACCOUNTS, token, NOW_S)).expires_at_s == NOW_S + 39.5


async def test_five_audiences_with_ours_are_accepted() -> None:
    assert (await verified(ACCOUNTS, ACCOUNT.token(aud=[*"abcd", AUDIENCE]))).principal.team == "search"


async def test_a_token_that_is_bound_to_a_certificate_says_to_which() -> None:
    assert (await verified(ACCOUNTS, ACCOUNT.token(cnf={"x5t#S256": "a" * 43}))).certificate_hash == "a" * 43


@pytest.mark.parametrize("typ", ["JWT", "jwt", ""])
async def test_the_type_may_be_jwt_or_nothing(typ: str) -> None:
    assert (await verified(ACCOUNTS, ACCOUNT.token({"typ": typ}))).principal.team == "search"


async def test_what_a_token_says_of_its_own_key_is_not_looked_at() -> None:
    said: dict[str, object] = {
        "kid": "../../../../etc/passwd\x00'; DROP TABLE service_account; --",
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/certificate",
        "x5c": ["AAAA"],
        "jwk": jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True),
    }

    assert (await verified(ACCOUNTS, ACCOUNT.token(said))).principal.team == "search"


async def test_a_key_that_a_token_brings_itself_does_not_verify_it() -> None:
    forger = Account(ACCOUNT.id)
    assert isinstance(forger.key, Ed25519PrivateKey)
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(forger.key.public_key(), as_dict=True)

    assert (await refused(forger.token({"jwk": jwk}))).startswith("token with a wrong signature")


async def test_the_algorithm_none_without_a_signature_is_refused() -> None:
    token = jwt.encode(ACCOUNT.claims(), "", algorithm="none")

    assert (await refused(token)).startswith("malformed token")


async def test_an_hmac_with_the_public_key_as_its_secret_is_refused() -> None:
    header = base64url(orjson.dumps({"alg": "HS256", "typ": "JWT"}))
    signing_input = f"{header}.{base64url(orjson.dumps(ACCOUNT.claims()))}"
    hmac = jwt.PyJWS().get_algorithm_by_name("HS256").sign(signing_input.encode(), pem_of(ACCOUNT.key).encode())

    assert (await refused(f"{signing_input}.{base64url(hmac)}")).startswith("token of another algorithm")


async def test_a_token_that_another_account_signed_is_refused() -> None:
    claims = orjson.dumps(ACCOUNT.claims())

    assert (await refused(OTHER.signed(claims))).startswith("token with a wrong signature")


async def test_a_token_that_was_signed_with_another_kind_of_key_is_refused() -> None:
    token = ES256.signed(orjson.dumps(ACCOUNT.claims()))

    assert (await refused(token)).startswith("token of another algorithm")


async def test_a_key_that_is_not_of_the_accounts_algorithm_verifies_nothing() -> None:
    record = ACCOUNT.record()
    confused = ServiceAccountRecord(record.id, record.public_key, "ES256", record.principal)

    why = await refused(ES256.signed(orjson.dumps(ACCOUNT.claims())), knowing(confused))

    assert why.startswith("token whose algorithm its key is not for")


async def test_an_unknown_account_is_refused_unnamed() -> None:
    stranger = Account("sa_DDDDDDDDDDDDDDDD")

    assert await refused(stranger.token()) == "token of an unknown service account"


async def test_a_revoked_account_is_refused_by_its_name() -> None:
    assert await refused(ACCOUNT.token(), knowing(ACCOUNT.record(revoked=True))) == (
        f"revoked, of service account {ACCOUNT.id}"
    )


async def test_a_forged_token_of_a_revoked_account_is_called_forged() -> None:
    forger = Account(ACCOUNT.id)

    why = await refused(forger.token(), knowing(ACCOUNT.record(revoked=True)))

    assert why.startswith("token with a wrong signature")


async def test_a_revocation_between_two_calls_ends_the_next_one() -> None:
    directory = {ACCOUNT.id: ACCOUNT.record()}
    accounts = ServiceAccounts(lambda: directory)
    accounts.expected = Expected(AUDIENCE, ORGANISATION)
    token = ACCOUNT.token()
    assert (await verified(accounts, token)).principal.team == "search"

    directory = {ACCOUNT.id: ACCOUNT.record(revoked=True)}

    assert (await refused(token, accounts)).startswith("revoked")


async def test_another_key_of_an_account_takes_the_place_of_its_old_one() -> None:
    renewed = Account(ACCOUNT.id)
    directory = {ACCOUNT.id: ACCOUNT.record()}
    accounts = ServiceAccounts(lambda: directory)
    accounts.expected = Expected(AUDIENCE, ORGANISATION)
    assert (await verified(accounts, ACCOUNT.token())).principal.team == "search"

    directory = {ACCOUNT.id: renewed.record()}

    assert (await refused(ACCOUNT.token(), accounts)).startswith("token with a wrong signature")
    assert (await verified(accounts, renewed.token())).principal.team == "search"


async def test_without_an_organisation_there_are_no_service_accounts() -> None:
    accounts = knowing(ACCOUNT.record())
    accounts.expected = Expected(AUDIENCE, None)

    assert "no organisation is configured" in await refused(ACCOUNT.token(), accounts)


async def test_a_token_of_another_deployment_is_refused() -> None:
    accounts = knowing(ACCOUNT.record())
    accounts.expected = Expected("cohort-staging", ORGANISATION)

    assert (await refused(ACCOUNT.token(), accounts)).startswith("token for another audience")


async def test_a_key_that_cannot_be_read_refuses_its_account_alone() -> None:
    record = ACCOUNT.record()
    broken = ServiceAccountRecord(record.id, "nonsense", record.algorithm, record.principal)
    accounts = knowing(broken, OTHER.record())

    assert await refused(ACCOUNT.token(), accounts) == (
        f"the public key of service account {ACCOUNT.id} must be one public key, PEM (SubjectPublicKeyInfo)"
    )
    assert (await verified(accounts, OTHER.token())).principal.credential_id == OTHER.id


async def test_a_key_is_read_once_for_each_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    public_key_of: Callable[[str], public_keys.AccountKey] = public_keys.public_key_of

    def told(pem: str) -> public_keys.AccountKey:
        read.append(pem)
        return public_key_of(pem)

    monkeypatch.setattr(public_keys, "public_key_of", told)
    accounts = knowing(ACCOUNT.record(), OTHER.record())

    for account in (ACCOUNT, OTHER, ACCOUNT, ACCOUNT, OTHER):
        await verified(accounts, account.token())

    assert read == [pem_of(ACCOUNT.key), pem_of(OTHER.key)]
