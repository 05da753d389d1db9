"""Which JWTs of service accounts are accepted, and why each other one is not."""

import json
import string
import time
from collections.abc import Callable
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from service.identity import account_keys
from service.identity.directory import ServiceAccountRecord
from service.identity.refusals import CredentialRefused
from service.identity.service_accounts import Expected, ServiceAccounts
from service.identity.tokens import TOKEN_BYTES_MAX, peek
from tests.unit.identity.account_tokens import AUDIENCE, ORGANISATION, Account, base64url, knowing, pem_of, verified

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
NOW_S = int(time.time())
ACCOUNT = Account()
OTHER = Account("sa_BBBBBBBBBBBBBBBB")
ES256 = Account("sa_CCCCCCCCCCCCCCCC", "ES256")
ACCOUNTS = knowing(ACCOUNT.record(), OTHER.record(), ES256.record())

TIMES: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"iat": NOW_S - 700, "exp": NOW_S - 100}, "expired token"),
    "without exp": ({"exp": None}, "token without exp"),
    "without iat": ({"iat": None}, "token without iat"),
    "issued in the future": ({"iat": NOW_S + 100}, "token not valid yet"),
    "not valid before the future": ({"nbf": NOW_S + 100}, "token not valid yet"),
    "exp as a string": ({"exp": str(NOW_S + 600)}, "token with an exp that is no time"),
    "exp as a bool": ({"exp": True}, "token with an exp that is no time"),
    "exp as a list": ({"exp": [NOW_S + 600]}, "token with an exp that is no time"),
    "exp far beyond time": ({"exp": 1e300}, "token with an exp that is no time"),
    "exp as a huge whole number": ({"exp": 10**15}, "token with an exp that is no time"),
    "iat below zero": ({"iat": -1}, "token with an iat that is no time"),
    "nbf as a string": ({"nbf": "0"}, "token with an nbf that is no time"),
    "a lifetime of more than a day": ({"exp": NOW_S + 24 * 3600 + 1, "iat": NOW_S}, "token of a lifetime"),
    "iat in 1970": ({"iat": 0}, "token of a lifetime"),
    "expired before it was issued": ({"iat": NOW_S + 20, "exp": NOW_S + 10}, "token of a lifetime"),
}
PARTIES: dict[str, tuple[dict[str, Any], str]] = {
    "another audience": ({"aud": "another"}, "token for another audience"),
    "an audience that ours begins": ({"aud": AUDIENCE + "-2"}, "token for another audience"),
    "an audience that begins ours": ({"aud": AUDIENCE[:-1]}, "token for another audience"),
    "our audience in other letters": ({"aud": AUDIENCE.upper()}, "token for another audience"),
    "no audience": ({"aud": None}, "token without an audience"),
    "no audience in a list": ({"aud": []}, "token for another audience"),
    "an audience that is no string": ({"aud": [AUDIENCE, 1]}, "token without an audience"),
    "an audience in an object": ({"aud": {AUDIENCE: AUDIENCE}}, "token without an audience"),
    "six audiences": ({"aud": [AUDIENCE, *"abcde"]}, "token for too many audiences"),
    "another organisation": ({"org_id": "another"}, "token of another organisation"),
    "an organisation that ours begins": ({"org_id": ORGANISATION + "-2"}, "token of another organisation"),
    "no organisation": ({"org_id": None}, "token of another organisation"),
    "organisations": ({"org_id": [ORGANISATION]}, "token of another organisation"),
    "another subject": ({"sub": OTHER.id}, "token in the name of another"),
    "no subject": ({"sub": None}, "token without a subject"),
    "an empty subject": ({"sub": ""}, "token without a subject"),
    "a subject that is no string": ({"sub": 1}, "token without a subject"),
    "a subject with a line end": ({"sub": ACCOUNT.id + "\n"}, "token without a subject"),
    "a subject too long": ({"sub": "s" * 201}, "token without a subject"),
    "an issuer with more to it": ({"iss": ACCOUNT.id + "/"}, "token of an unknown service account"),
}
SCOPES: dict[str, tuple[dict[str, Any], str]] = {
    "no scopes": ({"scopes": None}, "token without scopes"),
    "no scope in the list": ({"scopes": []}, "token without scopes"),
    "scopes as a string": ({"scopes": "chat embed"}, "token without scopes"),
    "scopes as an object": ({"scopes": {"chat": True}}, "token without scopes"),
    "an unknown scope": ({"scopes": ["chat", "everything"]}, "token with an unknown scope"),
    "a scope that is no string": ({"scopes": ["chat", ["embed"]]}, "token with an unknown scope"),
    "a scope in other letters": ({"scopes": ["Chat"]}, "token with an unknown scope"),
    "a scope not granted": ({"scopes": ["chat", "rerank"]}, "token that asks for a scope that the account does not"),
    "the scope admin not granted": ({"scopes": ["admin"]}, "token that asks for a scope that the account does not"),
}
BINDINGS: dict[str, tuple[dict[str, Any], str]] = {
    "bound to a key": ({"cnf": {"jkt": "a" * 43}}, "token bound to something other"),
    "bound to a certificate and a key": ({"cnf": {"x5t#S256": "a" * 43, "jkt": "a" * 43}}, "token bound to something"),
    "bound to a hash too short": ({"cnf": {"x5t#S256": "a" * 42}}, "token with a malformed cnf"),
    "bound to a number": ({"cnf": {"x5t#S256": 1}}, "token with a malformed cnf"),
    "bound to a string": ({"cnf": "a" * 43}, "token bound to something other"),
}
HEADERS: dict[str, tuple[dict[str, object], str]] = {
    "an unknown extension": ({"crit": ["x"], "x": 1}, "token that needs an extension"),
    "an extension that we would know": ({"crit": ["exp"], "exp": 1}, "token that needs an extension"),
    "no extension, named critical": ({"crit": []}, "token that needs an extension"),
    "an unencoded payload": ({"b64": False, "crit": ["b64"]}, "token that needs an extension"),
    "an unencoded payload, uncritical": ({"b64": False}, "token that needs an extension"),
    "an access token of OAuth": ({"typ": "at+jwt"}, "token of another type"),
    "a proof of possession": ({"typ": "dpop+jwt"}, "token of another type"),
    "a type that is no string": ({"typ": ["JWT"]}, "token of another type"),
    "a kid that is an object": ({"kid": {"a": 1}}, "malformed token"),
    "no algorithm": ({"alg": None}, "token of another algorithm"),
    "algorithms": ({"alg": ["EdDSA"]}, "token of another algorithm"),
    "an algorithm in other letters": ({"alg": "eddsa"}, "token of another algorithm"),
    "the algorithm of another kind of key": ({"alg": "ES256"}, "token of another algorithm"),
    "the algorithm none": ({"alg": "none"}, "token of another algorithm"),
}


async def refused(token: str, accounts: ServiceAccounts = ACCOUNTS) -> str:
    """Why a token is refused."""
    with pytest.raises(CredentialRefused) as caught:
        await verified(accounts, token)
    assert token not in caught.value.why
    return caught.value.why


@pytest.mark.parametrize(("changes", "why"), TIMES.values(), ids=TIMES)
async def test_times_that_are_refused(changes: dict[str, Any], why: str) -> None:
    assert (await refused(ACCOUNT.token(**changes))).startswith(why)


@pytest.mark.parametrize(("changes", "why"), PARTIES.values(), ids=PARTIES)
async def test_parties_that_are_refused(changes: dict[str, Any], why: str) -> None:
    assert (await refused(ACCOUNT.token(**changes))).startswith(why)


@pytest.mark.parametrize(("changes", "why"), SCOPES.values(), ids=SCOPES)
async def test_scopes_that_are_refused(changes: dict[str, Any], why: str) -> None:
    assert (await refused(ACCOUNT.token(**changes))).startswith(why)


@pytest.mark.parametrize(("changes", "why"), BINDINGS.values(), ids=BINDINGS)
async def test_bindings_that_are_refused(changes: dict[str, Any], why: str) -> None:
    assert (await refused(ACCOUNT.token(**changes))).startswith(why)


@pytest.mark.parametrize(("header", "why"), HEADERS.values(), ids=HEADERS)
async def test_headers_that_are_refused(header: dict[str, object], why: str) -> None:
    assert (await refused(ACCOUNT.token(header))).startswith(why)


@pytest.mark.parametrize("number", [b"Infinity", b"-Infinity", b"NaN", b"1e999", b"9" * 5000])
async def test_an_expiry_that_json_has_no_number_for_is_refused(number: bytes) -> None:
    claims = orjson.dumps(ACCOUNT.claims(exp=1.5)).replace(b"1.5", number)

    assert (await refused(ACCOUNT.signed(claims))).startswith(("malformed token", "token with"))


@pytest.mark.parametrize("number", [b"Infinity", b"NaN"])
async def test_a_number_that_json_has_not_is_refused_wherever_it_stands(number: bytes) -> None:
    token = ACCOUNT.signed(orjson.dumps(ACCOUNT.claims(more=[{"deep": 1.5}])).replace(b"1.5", number))
    peeked = peek(ACCOUNT.token())

    with pytest.raises(CredentialRefused, match="a number that JSON has not"):
        await ACCOUNTS.verify(token, peeked, time.time())


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
    assert (await verified(ACCOUNTS, ACCOUNT.token(iat=NOW_S - 0.5, exp=NOW_S + 9.5))).expires_at_s == NOW_S + 39.5


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


async def test_an_encrypted_token_is_refused() -> None:
    assert await refused(f"{ACCOUNT.token()}.AAAA.AAAA") == "encrypted token"


async def test_a_header_that_says_its_algorithm_twice_is_refused() -> None:
    header = b'{"alg":"none","typ":"JWT","alg":"EdDSA"}'

    assert (await refused(ACCOUNT.spelt(header, orjson.dumps(ACCOUNT.claims())))).startswith("token that says one")


async def test_claims_that_say_one_thing_twice_are_refused() -> None:
    claims = orjson.dumps(ACCOUNT.claims())[:-1] + b',"scopes":["embed"]}'

    assert (await refused(ACCOUNT.signed(claims))).startswith("token that says one thing twice")


async def test_names_that_json_spells_in_two_ways_are_one_name() -> None:
    claims = orjson.dumps(ACCOUNT.claims())[:-1] + b',"\\u0073copes":["embed"]}'

    assert (await refused(ACCOUNT.signed(claims))).startswith("token that says one thing twice")


@pytest.mark.parametrize("depth", [900, 1_100, 2_900])
async def test_a_deeply_nested_header_is_refused(depth: int) -> None:
    header = b'{"alg":"EdDSA","kid":' + b"[" * depth + b"]" * depth + b"}"

    assert (await refused(ACCOUNT.spelt(header, orjson.dumps(ACCOUNT.claims())))).startswith("malformed token")


@pytest.mark.parametrize("size", [TOKEN_BYTES_MAX + 1, 8_000_000])
async def test_a_token_too_long_is_refused_before_anything_is_read(size: int) -> None:
    token = ACCOUNT.token() + "A" * size
    started_s = time.process_time()

    assert await refused(token) == "token too long"
    assert time.process_time() - started_s < 0.05


async def test_a_token_of_the_greatest_length_is_accepted() -> None:
    missing = TOKEN_BYTES_MAX - len(ACCOUNT.token(more=""))
    token = ACCOUNT.token(more="m" * (missing * 3 // 4))

    assert TOKEN_BYTES_MAX - 3 <= len(token) <= TOKEN_BYTES_MAX
    assert (await verified(ACCOUNTS, token)).principal.team == "search"


@pytest.mark.parametrize("junk", ["\x00", "é", "\u202e", " ", "\n", "=", "+", "/", "𝐀", "\ud800"])
@pytest.mark.parametrize("place", [0, 10, -1, None])
async def test_a_character_that_no_token_has_is_refused(junk: str, place: int | None) -> None:
    good = ACCOUNT.token()
    token = good + junk if place is None else good[:place] + junk + good[place:]

    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(token, peek(good), time.time())


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_part_with_two_spellings_is_refused(part: int) -> None:
    parts = ACCOUNT.token(more="m").split(".")
    whole = len(parts[part]) % 4 == 0
    # The last character of a part that is not whole has bits that mean nothing.
    last = ALPHABET[ALPHABET.index(parts[part][-1]) + 1] if not whole else "A===="
    spellings = [parts[part] + "=" * (-len(parts[part]) % 4 or 4), parts[part][:-1] + last]

    for spelling in spellings:
        token = ".".join([*parts[:part], spelling, *parts[part + 1 :]])
        with pytest.raises(CredentialRefused, match="malformed token"):
            await ACCOUNTS.verify(token, peek(ACCOUNT.token()), time.time())


@pytest.mark.parametrize(
    ("header", "claims"),
    [(b"[]", b"{}"), (b'"EdDSA"', b"{}"), (b"", b"{}"), (b'{"alg":"EdDSA"}', b"[]"), (b'{"alg":"EdDSA"}', b"\xff{}")],
)
async def test_a_part_that_is_no_object_is_refused(header: bytes, claims: bytes) -> None:
    with pytest.raises(CredentialRefused, match="malformed token"):
        await ACCOUNTS.verify(ACCOUNT.spelt(header, claims), peek(ACCOUNT.token()), time.time())


async def test_claims_in_utf_16_are_refused() -> None:
    claims = orjson.dumps(ACCOUNT.claims()).decode().encode("utf-16")

    with pytest.raises(CredentialRefused, match="malformed token"):
        await ACCOUNTS.verify(ACCOUNT.signed(claims), peek(ACCOUNT.token()), time.time())


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
    public_key_of: Callable[[str], account_keys.AccountKey] = account_keys.public_key_of

    def told(pem: str) -> account_keys.AccountKey:
        read.append(pem)
        return public_key_of(pem)

    monkeypatch.setattr(account_keys, "public_key_of", told)
    accounts = knowing(ACCOUNT.record(), OTHER.record())

    for account in (ACCOUNT, OTHER, ACCOUNT, ACCOUNT, OTHER):
        await verified(accounts, account.token())

    assert read == [pem_of(ACCOUNT.key), pem_of(OTHER.key)]


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=6))
@example(0, 0)
async def test_no_bit_of_a_token_can_be_flipped(place: int, bit: int) -> None:
    good = ACCOUNT.token()
    place %= len(good)
    flipped = good[:place] + chr(ord(good[place]) ^ 1 << bit) + good[place + 1 :]

    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(flipped, peek(good), time.time())
    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(flipped, peek(flipped), time.time())


@given(st.integers(min_value=0), st.characters())
async def test_no_character_of_a_token_can_be_another_one(place: int, character: str) -> None:
    good = ES256.token()
    place %= len(good)
    changed = good[:place] + character + good[place + 1 :]
    if changed == good:
        return

    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(changed, peek(good), time.time())
    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(changed, peek(changed), time.time())


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
async def test_claims_of_any_bytes_are_refused_or_good(claims: bytes) -> None:
    with pytest.raises(CredentialRefused):
        await ACCOUNTS.verify(ACCOUNT.signed(claims), peek(ACCOUNT.token()), time.time())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@given(st.sampled_from(["iss", "sub", "aud", "org_id", "scopes", "iat", "exp", "nbf", "cnf"]), JSON)
async def test_a_claim_of_any_json_is_refused_or_good_but_never_an_error(claim: str, value: object) -> None:
    claims = ACCOUNT.claims()
    claims[claim] = value
    token = ACCOUNT.signed(json.dumps(claims).encode())

    try:
        found = await ACCOUNTS.verify(token, peek(ACCOUNT.token()), time.time())
    except CredentialRefused:
        return
    assert found.principal.scopes <= {"chat", "embed"}
    assert claim in {"iat", "exp", "nbf"}
