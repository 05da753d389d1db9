"""The table of forged JWTs: each row is a JWT with one thing wrong, for each kind of JWT that lets a caller in.

All go the way of a call's credential, from the metadata's text to a principal or a refusal.
"""

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.identity.issuers.fetch import Fetcher
from service.identity.tokens import LIFETIME_MAX_S, SKEW_S, TOKEN_BYTES_MAX
from tests.identity.issuers.fake_issuer import JWKS, Clock, FakeIssuer, fake_issuer
from tests.identity.issuers.forger import KINDS, LEFT_OUT, NOW_S, Forger, forger_of, json_of
from tests.identity.issuers.signing import AUDIENCE, base64url, ec_key, rsa_key


@pytest.fixture
async def other() -> AsyncIterator[FakeIssuer]:
    """An issuer that nobody trusts, with keys under the same ids."""
    async with fake_issuer(rsa_key(name="other"), ec_key()) as running:
        yield running


@pytest.fixture(params=KINDS)
def forger(
    request: pytest.FixtureRequest, issuer: FakeIssuer, other: FakeIssuer, fetcher: Fetcher, clock: Clock
) -> Forger:
    return forger_of(request.param, issuer, other, fetcher, clock)


async def test_the_jwt_with_nothing_wrong_lets_its_holder_in(forger: Forger) -> None:
    assert (await forger.takes(forger.token())).team == "search"


RIGHT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an audience in a list": ({}, {"aud": [AUDIENCE]}),
    "our audience among five": ({}, {"aud": [*"abcd", AUDIENCE]}),
    "a clock that is ahead": ({}, {"iat": NOW_S + SKEW_S, "nbf": NOW_S + SKEW_S}),
    "an end just now": ({}, {"iat": NOW_S - 600, "exp": NOW_S - SKEW_S + 1}),
    "a life of a day": ({}, {"exp": NOW_S + LIFETIME_MAX_S}),
    "keys elsewhere that nobody looks at": ({"jku": "https://evil.example/", "x5u": "https://evil.example/"}, {}),
    "certificates that nobody looks at": ({"x5c": ["AAAA"], "x5t": "AAAA", "x5t#S256": "AAAA"}, {}),
    "members that nobody knows": ({"x": 1}, {"x": [{"y": None}]}),
}


@pytest.mark.parametrize(("header", "changed"), RIGHT.values(), ids=RIGHT)
async def test_what_is_not_wrong(forger: Forger, header: dict[str, Any], changed: dict[str, Any]) -> None:
    assert (await forger.takes(forger.token(header, **changed))).team == "search"


ALGORITHM = "token of another algorithm"
NO_TEXTS: tuple[Any, ...] = (7, None, ["x"], {"x": 1}, True)
NO_TIMES: tuple[Any, ...] = ("1900000000", True, [1], {}, None, -1, 1e300)
NO_HASHES: tuple[Any, ...] = (
    {}, {"jkt": "x"}, {"jwk": {}}, {"x5t#S256": "A" * 42}, {"x5t#S256": "A" * 43, "kid": "x"}, None, "x"
)  # fmt: skip
HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    **{f"algorithm {alg}": ({"alg": alg}, ALGORITHM) for alg in ("none", "None", "NONE", "HS256", "RS1", "", "dir")},
    **{f"algorithm {alg}": ({"alg": alg}, ALGORITHM) for alg in NO_TEXTS},
    "no algorithm": ({"alg": LEFT_OUT}, ALGORITHM),
    **{f"type {typ}": ({"typ": typ}, "token of another type") for typ in ("id+jwt", "dpop+jwt", "logout+jwt", "JWE")},
    **{f"type {typ}": ({"typ": typ}, "token of another type") for typ in NO_TEXTS},
    "an unknown extension": ({"crit": ["x"], "x": 1}, "token that needs an extension"),
    "an extension that is known": ({"crit": ["exp"], "exp": NOW_S}, "token that needs an extension"),
    "no extension, named critical": ({"crit": []}, "token that needs an extension"),
    "an extension that is no list": ({"crit": "x"}, "token that needs an extension"),
    "an unencoded payload": ({"b64": False, "crit": ["b64"]}, "token that needs an extension"),
    "an unencoded payload, uncritical": ({"b64": False}, "token that needs an extension"),
    "an encoded payload, said so": ({"b64": True}, "token that needs an extension"),
    **{f"key id {kid}": ({"kid": kid}, "") for kid in NO_TEXTS if kid is not None},
}


@pytest.mark.parametrize(("header", "why"), HEADERS.values(), ids=HEADERS)
async def test_headers_that_are_refused(forger: Forger, header: dict[str, Any], why: str) -> None:
    assert (await forger.why_not(forger.token(header))).startswith(why or ("token with a malformed kid", "malformed"))


async def test_each_others_type_is_refused(forger: Forger) -> None:
    typ = {"at+jwt": "JWT", "JWT": "at+jwt"}[forger.header["typ"]]

    assert (await forger.why_not(forger.token({"typ": typ}))).startswith("token of another type")


@pytest.mark.parametrize("algorithm", ["none", "None", "RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("signature", ["", "AA", "."])
async def test_a_jwt_that_nobody_signed_is_refused(forger: Forger, algorithm: str, signature: str) -> None:
    unsigned = f"{base64url(json_of(forger.header, {'alg': algorithm}))}.{base64url(json_of(forger.claims))}."

    assert await forger.why_not(unsigned + signature)


@pytest.mark.parametrize("size", [64, 256])
async def test_a_signature_of_zeros_is_refused(forger: Forger, size: int) -> None:
    # 64 of them satisfied ECDSA where zero was not ruled out.
    assert (await forger.why_not(forger.with_signature(bytes(size)))).startswith("token with a wrong signature")


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256", "EdDSA"])
async def test_the_public_key_is_no_secret_to_sign_with(forger: Forger, algorithm: str) -> None:
    der = forger.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for secret in (forger.pem(), forger.pem().strip(), forger.pem().replace(b"\n", b"\r\n"), der):
        assert await forger.why_not(forger.maced(secret, algorithm))


async def test_what_a_stranger_signed_is_refused_wherever_the_key_is_said_to_be(forger: Forger) -> None:
    url = f"{forger.other.url}{JWKS}"
    said: list[dict[str, Any]] = [
        {},
        {"jku": url},
        {"x5u": url},
        {"jku": url, "x5u": url, "jwk": forger.other.keys[0].jwk},
        {"x5c": ["AAAA"], "x5t": "AAAA"},
        *({"jwk": key.jwk} for key in forger.other.keys),
    ]
    for more in said:
        token = forger.strangers(json_of(forger.header, more), json_of(forger.claims))
        assert (await forger.why_not(token)).startswith("token with a wrong signature")
    assert not forger.other.asked


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "/etc/passwd", "https://evil.example/", "' OR 1=1 --", "\x00", "rsa-1\x00", ""]
)
async def test_a_key_id_finds_no_other_key(forger: Forger, kid: str) -> None:
    token = forger.strangers(json_of(forger.header, {"kid": kid}), json_of(forger.claims))

    assert (await forger.why_not(token)).startswith(("token of an unknown key", "token with a wrong signature"))


AUDIENCES: dict[str, Any] = {
    "another": "another", "with more to it": f"{AUDIENCE}-2", "with less of it": AUDIENCE[:-1],
    "in other letters": AUDIENCE.upper(), "with a space": f"{AUDIENCE} ", "empty": "", "none": LEFT_OUT, "null": None,
    "of others": ["a", "b"], "no list of any": [], "six": [AUDIENCE, *"abcde"], "in an object": {AUDIENCE: AUDIENCE},
    "beside a number": [AUDIENCE, 7], "in a list of lists": [[AUDIENCE]], "true": True,
}  # fmt: skip
CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    **{f"audience: {name}": ({"aud": aud}, "token ") for name, aud in AUDIENCES.items()},
    **{f"end: {exp}": ({"exp": exp}, "token with an exp") for exp in NO_TIMES},
    "no end": ({"exp": LEFT_OUT}, "token without exp"),
    "expired": ({"iat": NOW_S - 600, "exp": NOW_S - SKEW_S}, "expired token"),
    "a life of more than a day": ({"exp": NOW_S + LIFETIME_MAX_S + 1}, "token of a lifetime"),
    "ended before it began": ({"iat": NOW_S + 20, "exp": NOW_S + 10}, "token of a lifetime"),
    "begun in 1970": ({"iat": 0}, "token of a lifetime"),
    "no beginning": ({"iat": LEFT_OUT}, "token without iat"),
    "begun in the future": ({"iat": NOW_S + SKEW_S + 1}, "token not valid yet"),
    **{f"beginning: {iat}": ({"iat": iat}, "token with an iat") for iat in NO_TIMES},
    "not valid yet": ({"nbf": NOW_S + SKEW_S + 1}, "token not valid yet"),
    **{f"valid from: {nbf}": ({"nbf": nbf}, "token with an nbf") for nbf in NO_TIMES},
    **{f"issuer: {iss}": ({"iss": iss}, "token of an unknown") for iss in ("https://other.example", "", "sa_none")},
    **{f"issuer: {iss}": ({"iss": iss}, "token without an issuer") for iss in NO_TEXTS},
    "no issuer": ({"iss": LEFT_OUT}, "token without an issuer"),
    "no subject": ({"sub": LEFT_OUT}, "token without a subject"),
    **{
        f"subject: {sub!r:.9}": ({"sub": sub}, "token without a subject")
        for sub in ("", 7, None, "a\nb", "\0", "s" * 201)
    },
    **{f"bound to {cnf}": ({"cnf": cnf}, "token ") for cnf in NO_HASHES},
}


@pytest.mark.parametrize(("changed", "why"), CLAIMS.values(), ids=CLAIMS)
async def test_claims_that_are_refused(forger: Forger, changed: dict[str, Any], why: str) -> None:
    assert (await forger.why_not(forger.token(**changed))).startswith(why)


@pytest.mark.parametrize("ending", ["/", ".example", "\x00", "#", "?x=1"])
async def test_an_issuer_is_compared_whole(forger: Forger, ending: str) -> None:
    assert (await forger.why_not(forger.token(iss=forger.claims["iss"] + ending))).startswith("token of an unknown")


TIMES = (b"Infinity", b"-Infinity", b"NaN", b"1e999", b"9" * 400, b"9" * 5000, b"0x7FFFFFFF", b"01", b"1.")


@pytest.mark.parametrize("number", TIMES, ids=[each.decode()[:9] for each in TIMES])
async def test_a_time_that_json_or_the_calendar_has_not_is_refused(forger: Forger, number: bytes) -> None:
    exp = b'"exp":%d' % forger.claims["exp"]

    assert (await forger.why_not(forger.but_for(claims=(exp, b'"exp":' + number)))).startswith(("malformed", "token "))


async def test_what_is_said_twice_is_refused(forger: Forger) -> None:
    algorithm, subject = json.dumps(forger.header["alg"]).encode(), json.dumps(forger.claims["sub"]).encode()
    twice = [
        forger.but_for(header=(b"{", b'{"alg":"none",')),
        forger.but_for(header=(b"{", b'{"alg":%s,' % algorithm)),
        forger.but_for(header=(b"{", b'{"\\u0061lg":"none",')),
        forger.but_for(header=(b"{", b'{"x":1,"x":2,')),
        forger.but_for(claims=(b"{", b'{"sub":"eve",')),
        forger.but_for(claims=(b"{", b'{"sub":%s,' % subject)),
        forger.but_for(claims=(b"{", b'{"exp":1,')),
        forger.but_for(claims=(b"{", b'{"a\\u0075d":"x",')),
        forger.but_for(claims=(b"{", b'{"x":[{"y":1,"y":1}],')),
    ]
    for token in twice:
        assert (await forger.why_not(token)).startswith("token that says one thing twice")


@pytest.mark.parametrize("depth", [1_100, 1_900, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"":', b"1" + b"}")])
async def test_deep_json_is_refused(forger: Forger, depth: int, opens: bytes, closes: bytes) -> None:
    inner = b"" if closes == b"]" else b"1"
    deep = b'{"x":' + opens * depth + inner + closes[-1:] * depth + b","
    why = ("malformed token", "token too long")

    assert (await forger.why_not(forger.but_for(header=(b"{", deep)))).startswith(why)
    assert (await forger.why_not(forger.but_for(claims=(b"{", deep)))).startswith(why)


@pytest.mark.parametrize("size", [TOKEN_BYTES_MAX + 1, 8_000_000])
async def test_a_huge_token_is_refused_before_anything_is_read(forger: Forger, size: int) -> None:
    started_s = time.process_time()
    for token in ("A" * size, f"{forger.token()}{'A' * size}", f"{'A' * size}.{forger.token()}", "." * size):
        assert await forger.why_not(token) == "token too long"

    assert time.process_time() - started_s < 0.2


def parts_of(forger: Forger) -> tuple[str, str, str]:
    header, payload, signature = forger.token().split(".")
    return header, payload, signature


SPELLINGS: dict[str, Callable[[str, str, str], str]] = {
    "encrypted": lambda h, c, s: f"{h}.{c}.{s}.AAAA.AAAA",
    "of four parts": lambda h, c, s: f"{h}.{c}.{s}.AAAA",
    "of two parts": lambda h, c, _: f"{h}.{c}",
    "without a header": lambda _, c, s: f".{c}.{s}",
    "without claims": lambda h, _, s: f"{h}..{s}",
    "without a signature": lambda h, c, _: f"{h}.{c}.",
    "with the signature of another": lambda h, c, s: f"{h}.{c}.{s[:20]}{'A' if s[20] != 'A' else 'B'}{s[21:]}",
    "with half a signature": lambda h, c, s: f"{h}.{c}.{s[: len(s) // 8 * 4]}",
    "with a signature and more": lambda h, c, s: f"{h}.{c}.{s}AAAA",
    **{
        f"with {junk!r} {where}": place
        for junk in ("\x00", "é", "\u202e", " ", "\n", "=", "+", "/", "𝐀", "%2E")
        for where, place in {
            "before": lambda h, c, s, junk=junk: f"{junk}{h}.{c}.{s}",
            "in the header": lambda h, c, s, junk=junk: f"{h[:5]}{junk}{h[5:]}.{c}.{s}",
            "in the claims": lambda h, c, s, junk=junk: f"{h}.{c[:5]}{junk}{c[5:]}.{s}",
            "after": lambda h, c, s, junk=junk: f"{h}.{c}.{s}{junk}",
        }.items()
    },
}


@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
async def test_a_jwt_has_one_spelling(forger: Forger, spelt: Callable[[str, str, str], str]) -> None:
    assert await forger.why_not(spelt(*parts_of(forger)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
async def test_json_in_another_encoding_is_refused(forger: Forger, encoding: str) -> None:
    header, said = json_of(forger.header), json_of(forger.claims)

    for token in (
        forger.spelt(header.decode().encode(encoding), said),
        forger.spelt(header, said.decode().encode(encoding)),
    ):
        assert (await forger.why_not(token)).startswith("malformed token")


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"7", b"null", b'"x"', b"{", b"{}{}", b"\xff", b'{"x":"\\ud800"}', b"{'x':1}"]
)
async def test_a_part_that_is_no_json_object_is_refused(forger: Forger, text: bytes) -> None:
    assert await forger.why_not(forger.spelt(text, json_of(forger.claims)))
    assert await forger.why_not(forger.spelt(json_of(forger.header), text))
