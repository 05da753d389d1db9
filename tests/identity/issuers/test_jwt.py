"""JWTs of issuers, each row of the table with one thing wrong; the server that has the keys is real."""

import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from service.config import IssuerConfig
from service.identity.issuers.discovery import Endpoint
from service.identity.issuers.fetch import Fetcher
from service.identity.issuers.jwt import IssuerJwts
from service.identity.issuers.key_cache import KeyCache
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.identity.tokens import LIFETIME_MAX_S, SKEW_S, Verified, peek
from tests.identity.issuers.fake_issuer import JWKS, Clock, FakeIssuer, fake_issuer
from tests.identity.issuers.signing import AUDIENCE, Key, claims, ec_key, ed_key, rsa_key

NOW_S = 1_800_000_000.0
CERTIFICATE_HASH = "A" * 43


class Trust:
    """One issuer, as it is trusted."""

    def __init__(self, issuer: FakeIssuer, fetcher: Fetcher, clock: Clock) -> None:
        self.issuer = issuer
        self._fetcher = fetcher
        self._clock = clock
        self.configure()

    def configure(self, **settings: Any) -> None:
        config = IssuerConfig.model_validate({"issuer": self.issuer.url, "private_addresses": True, **settings})
        endpoint = Endpoint(self._fetcher, config.issuer, "jwks_uri", None, self._clock)
        keys = KeyCache("sso", self._fetcher, endpoint, config.algorithms, self._clock)
        self._verifier = IssuerJwts("sso", config, AUDIENCE, keys)

    def token(self, key: Key | None = None, header: dict[str, Any] | None = None, **changed: Any) -> str:
        return (key or self.issuer.keys[0]).sign(claims(self.issuer.url, NOW_S, **changed), **header or {})

    async def verify(self, token: str, now_s: float = NOW_S) -> Verified:
        return await self._verifier.verify(token, peek(token), now_s)

    async def takes(self, token: str) -> bool:
        return (await self.verify(token)).principal.team == "search"

    async def why_not(self, token: str, now_s: float = NOW_S) -> str:
        with pytest.raises(CredentialRefused) as refused:
            await self.verify(token, now_s)
        return refused.value.why


@pytest.fixture
def trust(issuer: FakeIssuer, fetcher: Fetcher, clock: Clock) -> Trust:
    return Trust(issuer, fetcher, clock)


@pytest.fixture
async def other() -> AsyncIterator[FakeIssuer]:
    """Another issuer, with keys of its own under the same ids."""
    async with fake_issuer(rsa_key(name="other"), ec_key()) as running:
        yield running


@pytest.mark.parametrize("key", [rsa_key(), rsa_key(algorithm="PS256"), ec_key(), ec_key(algorithm="ES384"), ed_key()])
async def test_a_token_is_its_holders_in_every_algorithm(trust: Trust, key: Key) -> None:
    trust.issuer.keys = [key]
    trust.configure(algorithms=[key.algorithm])

    verified = await trust.verify(trust.token())

    assert verified.principal.team == "search"
    assert verified.principal.name == "ada"
    assert verified.principal.credential_id == "sso:ada"
    assert verified.principal.method == "oauth2"
    assert verified.expires_at_s == NOW_S + 3600
    assert verified.certificate_hash is None


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_an_access_token_says_that_it_is_one(trust: Trust, typ: str) -> None:
    assert await trust.takes(trust.token(header={"typ": typ}))


@pytest.mark.parametrize("typ", ["JWT", "id+jwt", "logout+jwt", "", None])
async def test_another_jwt_of_the_issuer_is_no_access_token(trust: Trust, typ: str | None) -> None:
    token = with_header(trust.token(), {"alg": "RS256", "kid": "rsa-1", **({} if typ is None else {"typ": typ})})
    token = signed_again(token, trust.issuer.keys[0])

    assert await trust.why_not(token) == "token of another type"
    trust.configure(rfc9068=False)
    assert await trust.takes(token)


def with_header(token: str, header: dict[str, Any]) -> str:
    """The token with another header; its signature no longer fits."""
    _, payload, signature = token.split(".")
    return f"{base64url_encode(json.dumps(header).encode()).decode()}.{payload}.{signature}"


def signed_again(token: str, key: Key) -> str:
    """The token with a signature that fits."""
    signed = token.rpartition(".")[0]
    algorithm = jwt.get_algorithm_by_name(key.algorithm)
    return f"{signed}.{base64url_encode(algorithm.sign(signed.encode(), key.private)).decode()}"


@pytest.mark.parametrize("name", ["client_id", "jti"])
@pytest.mark.parametrize("value", [None, "", 7, ["x"]])
async def test_what_rfc_9068_requires_is_required_where_it_is_kept(trust: Trust, name: str, value: Any) -> None:
    changed: dict[str, Any] = {name: value}
    token = trust.token(**changed)

    assert await trust.why_not(token) == f"token without a {name}"
    trust.configure(rfc9068=False)
    assert await trust.takes(token)


WRONG: dict[str, dict[str, Any]] = {
    "of another issuer": {"iss": "https://other.example"},
    "of an issuer that begins alike": {"iss": "{url}.example"},
    "of an issuer but for a slash": {"iss": "{url}/"},
    "of no issuer": {"iss": None},
    "for another audience": {"aud": "elsewhere"},
    "for an audience that begins alike": {"aud": "cohort-test"},
    "for other audiences": {"aud": ["elsewhere", "cohort2"]},
    "for too many audiences": {"aud": ["cohort", "b", "c", "d", "e", "f"]},
    "for no audience": {"aud": None},
    "for an audience in an object": {"aud": {"cohort": True}},
    "expired": {"exp": NOW_S - SKEW_S},
    "without an end": {"exp": None},
    "with an end that is text": {"exp": "1900000000"},
    "of endless life": {"exp": 1e300},
    "of too long a life": {"exp": NOW_S + LIFETIME_MAX_S + 1},
    "issued in the future": {"iat": NOW_S + SKEW_S + 1},
    "without a beginning": {"iat": None},
    "not valid yet": {"nbf": NOW_S + SKEW_S + 1},
    "without a subject": {"sub": None},
    "of a subject that is no text": {"sub": 7},
    "of no team": {"team": None},
    "without a scope": {"scope": None},
    "without a known scope": {"scope": "openid profile"},
    "bound to a key": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    "bound to a key and a certificate": {"cnf": {"jkt": "x", "x5t#S256": CERTIFICATE_HASH}},
    "bound to an embedded key": {"cnf": {"jwk": {"kty": "OKP"}}},
    "bound to nothing": {"cnf": {}},
    "bound to half a certificate": {"cnf": {"x5t#S256": "AAAA"}},
    "of four actors": {"act": {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4"}}}}},
    "of an unnamed actor": {"act": {"client_id": "1"}},
}


@pytest.mark.parametrize("changed", WRONG.values(), ids=list(WRONG))
async def test_a_token_with_one_thing_wrong_is_refused(trust: Trust, changed: dict[str, Any]) -> None:
    filled: dict[str, Any] = {
        name: value.format(url=trust.issuer.url) if isinstance(value, str) else value for name, value in changed.items()
    }

    assert await trust.why_not(trust.token(**filled))


async def test_a_token_of_another_time_is_refused(trust: Trust) -> None:
    token = trust.token()

    assert await trust.why_not(token, NOW_S + 3600 + SKEW_S) == "expired token"
    assert await trust.why_not(token, NOW_S - SKEW_S - 1) == "token not valid yet"


async def test_a_token_bound_to_a_certificate_says_to_which(trust: Trust) -> None:
    verified = await trust.verify(trust.token(cnf={"x5t#S256": CERTIFICATE_HASH}))

    assert verified.certificate_hash == CERTIFICATE_HASH


async def test_who_acts_for_a_caller_is_told(trust: Trust) -> None:
    verified = await trust.verify(trust.token(act={"sub": "agent", "act": {"sub": "planner"}}))

    assert verified.principal.actors == ("agent", "planner")


async def test_another_issuers_key_signs_nothing_in_our_issuers_name(trust: Trust, other: FakeIssuer) -> None:
    for mine, theirs in zip(trust.issuer.keys, other.keys, strict=True):
        assert mine.kid == theirs.kid
        assert await trust.why_not(trust.token(theirs)) == "token with a wrong signature"


async def test_a_key_id_of_another_issuer_is_not_known_here(
    trust: Trust, other: FakeIssuer, fetcher: Fetcher, clock: Clock
) -> None:
    other.keys = [rsa_key("theirs", name="other")]
    theirs = Trust(other, fetcher, clock)
    assert await theirs.takes(theirs.token())

    assert await trust.why_not(trust.token(other.keys[0])) == "token of an unknown key"
    assert other.asked[JWKS] == 1


async def test_the_public_key_is_no_secret_to_sign_with(trust: Trust) -> None:
    key = trust.issuer.keys[0]
    header = {"alg": "HS256", "typ": "at+jwt", "kid": key.kid}
    for secret in (json.dumps(key.jwk), json.dumps({"keys": [key.jwk]}), key.jwk["n"]):
        signed = with_header(trust.token(), header).rpartition(".")[0]
        mac = base64url_encode(hmac.digest(secret.encode(), signed.encode(), "sha256")).decode()

        assert await trust.why_not(f"{signed}.{mac}") == "token of another algorithm"
        disguised = with_header(f"{signed}.{mac}", {**header, "alg": "RS256"})
        assert await trust.why_not(disguised) == "token with a wrong signature"


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "PS256", "ES384", "EdDSA", "", None, 7, ["RS256"]])
async def test_an_algorithm_outside_the_issuers_list_is_refused_before_a_key_is_asked_for(
    trust: Trust, algorithm: Any
) -> None:
    token = with_header(trust.token(), {"alg": algorithm, "typ": "at+jwt", "kid": "rsa-1"})

    assert await trust.why_not(token) == "token of another algorithm"
    assert not trust.issuer.asked


async def test_a_well_signed_token_of_an_algorithm_outside_the_list_is_refused(trust: Trust) -> None:
    trust.issuer.keys = [rsa_key(algorithm="PS256"), ed_key()]
    for key in trust.issuer.keys:
        assert await trust.why_not(trust.token(key)) == "token of another algorithm"


async def test_an_algorithm_on_the_list_does_not_take_a_key_of_another(trust: Trust) -> None:
    token = trust.token(ec_key("rsa-1"))

    assert await trust.why_not(token) == "token of an unknown key"


@pytest.mark.parametrize("kid", [7, ["rsa-1"], {"rsa-1": 1}, True, "k" * 257])
async def test_a_key_id_that_is_no_short_text_is_refused(trust: Trust, kid: Any) -> None:
    token = with_header(trust.token(), {"alg": "RS256", "typ": "at+jwt", "kid": kid})

    assert await trust.why_not(token) == "token with a malformed kid"
    assert not trust.issuer.asked


@pytest.mark.parametrize(
    "kid", ["../../etc/passwd", "/dev/null", "https://evil.example/jwks", "' OR 1=1 --", "\x00", "__class__", ""]
)
async def test_a_key_id_is_nothing_but_a_name(trust: Trust, kid: str) -> None:
    assert await trust.why_not(trust.token(header={"kid": kid})) == "token of an unknown key"
    assert set(trust.issuer.asked) == {"/.well-known/openid-configuration", JWKS}


@pytest.mark.parametrize("member", ["jku", "x5u"])
async def test_where_a_token_says_that_keys_are_is_not_looked_at(trust: Trust, other: FakeIssuer, member: str) -> None:
    token = trust.token(other.keys[0], header={member: f"{other.url}{JWKS}"})

    assert await trust.why_not(token) == "token with a wrong signature"
    assert not other.asked


async def test_a_key_that_a_token_brings_along_is_not_looked_at(trust: Trust, other: FakeIssuer) -> None:
    key = other.keys[0]

    assert await trust.why_not(trust.token(key, header={"jwk": key.jwk})) == "token with a wrong signature"


async def test_a_token_without_a_key_id_means_the_only_key_of_its_algorithm(trust: Trust) -> None:
    assert await trust.takes(trust.token(header={"kid": None}))
    trust.issuer.keys.append(rsa_key("rsa-2", name="second"))
    trust.configure()
    assert await trust.why_not(trust.token(header={"kid": None})) == "token of an unknown key"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_token_changed_anywhere_is_refused(trust: Trust, part: int) -> None:
    parts = trust.token().split(".")
    others = trust.token(sub="eve", header={"x": 1}).split(".")
    parts[part] = others[part]

    assert await trust.why_not(".".join(parts)) == "token with a wrong signature"


async def test_without_an_answer_nothing_is_decided(trust: Trust) -> None:
    trust.issuer.status = 503

    with pytest.raises(CredentialUndecided, match="keys of sso"):
        await trust.verify(trust.token())


async def test_an_opaque_token_is_not_this_issuers(trust: Trust) -> None:
    assert await trust.why_not("opaque") == "not a JWT"
