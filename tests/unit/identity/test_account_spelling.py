"""How JWTs may be spelt: of each there is one spelling, and nothing else that can be sent is an error of ours."""

import json
import string
import time

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.identity.refusals import CredentialRefused
from service.identity.tokens import TOKEN_BYTES_MAX, peek
from tests.unit.identity.account_tokens import ACCOUNT, ACCOUNTS, ES256, refused, verified

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


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
