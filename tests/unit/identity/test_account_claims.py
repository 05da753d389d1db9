"""Claims and headers of service accounts' JWTs that are refused, and why each of them is: row by row."""

import time
from typing import Any

import orjson
import pytest

from service.identity.refusals import CredentialRefused
from service.identity.tokens import peek
from tests.unit.identity.account_tokens import ACCOUNT, ACCOUNTS, AUDIENCE, ORGANISATION, OTHER, refused

NOW_S = int(time.time())

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


@pytest.mark.parametrize(("changes", "why"), TIMES.values(), ids=TIMES)
async def test_times_that_are_refused(changes: dict[str, Any], why: str) -> None:
    token = ACCOUNT.token(**{"iat": NOW_S, "exp": NOW_S + 600, **changes})

    assert (await refused(token, now_s=NOW_S)).startswith(why)


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
