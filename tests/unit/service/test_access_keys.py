import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import CohortError
from service.identity.access_keys import (
    METHOD,
    AccessKeyRecord,
    AccessKeyRefused,
    AccessKeys,
    checksum_of,
    create,
    digest_of,
)
from service.identity.credential import Credential, credential_of
from service.identity.principal import Principal

PEPPER = b"p" * 32
NOW_S = 1_000_000.0
PRINCIPAL = Principal("search", "indexer", frozenset({"chat"}), METHOD, "x")


def keys_with(key_id: str, access_key: str, *, pepper: bytes = PEPPER, expires_at_s: float = NOW_S + 1) -> AccessKeys:
    record = AccessKeyRecord(key_id, digest_of(access_key, pepper), "1", PRINCIPAL, expires_at_s)
    return AccessKeys("prod", {"1": PEPPER}, [record])


def why_refused(keys: AccessKeys, access_key: str) -> str:
    with pytest.raises(AccessKeyRefused) as raised:
        keys.principal_of(access_key, NOW_S)
    return str(raised.value)


def test_a_created_key_is_its_principal() -> None:
    key_id, access_key = create("prod")

    assert keys_with(key_id, access_key).principal_of(access_key, NOW_S) is PRINCIPAL


def test_a_key_has_the_documented_form() -> None:
    key_id, access_key = create("prod")

    assert re.fullmatch(r"cohort_prod_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}", access_key)
    assert key_id in access_key
    assert checksum_of(access_key[:-6]) == access_key[-6:]


def test_each_refusal_has_its_own_reason_in_the_log() -> None:
    key_id, access_key = create("prod")
    other_id, other = create("prod")
    keys = keys_with(key_id, access_key)
    swapped = other.replace(other_id, key_id)[:-6]

    assert {
        why_refused(keys, "x"),
        why_refused(keys, create("dev")[1]),
        why_refused(keys, other),
        why_refused(keys, swapped + checksum_of(swapped)),
        why_refused(keys_with(key_id, access_key, expires_at_s=NOW_S), access_key),
        why_refused(keys_with(key_id, access_key, pepper=b"q" * 32), access_key),
    } == {
        "malformed access key",
        "access key of another environment",
        "unknown access key",
        f"wrong secret for access key {key_id}",
        f"expired access key {key_id}",
    }


@given(st.integers(0, 200), st.characters())
def test_a_changed_character_never_passes(position: int, character: str) -> None:
    key_id, access_key = create("prod")
    position %= len(access_key)
    changed = access_key[:position] + character + access_key[position + 1 :]
    if changed != access_key:
        why_refused(keys_with(key_id, access_key), changed)


@given(st.text(max_size=300))
def test_no_text_breaks_the_check(text: str) -> None:
    why_refused(keys_with(*create("prod")), text)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "CREDENTIAL_MISSING"),
        ((("user-agent", "x"),), "CREDENTIAL_MISSING"),
        ((("x-api-key", "a"), ("authorization", "Bearer a")), "CREDENTIAL_AMBIGUOUS"),
        ((("x-api-key", "a"), ("x-api-key", "a")), "CREDENTIAL_AMBIGUOUS"),
        ((("authorization", "Bearer a"), ("authorization", "Bearer b")), "CREDENTIAL_AMBIGUOUS"),
        ((("authorization", "Basic a"),), "CREDENTIAL_REJECTED"),
        ((("authorization", "Bearer"),), "CREDENTIAL_REJECTED"),
        ((("authorization", "Bearer  "),), "CREDENTIAL_REJECTED"),
        ((("x-api-key", ""),), "CREDENTIAL_REJECTED"),
        ((("x-api-key", "a" * 9000),), "CREDENTIAL_REJECTED"),
        ((("x-api-key", b"a"),), "CREDENTIAL_REJECTED"),
    ],
)
def test_exactly_one_credential_is_wanted(metadata: tuple[tuple[str, str | bytes], ...], reason: str) -> None:
    from service.status import reason_name

    with pytest.raises(CohortError) as raised:
        credential_of(metadata)

    assert reason_name(raised.value.reason) == reason


@pytest.mark.parametrize(
    "metadata", [(("x-api-key", "k"),), (("authorization", "Bearer k"),), (("authorization", "bearer k"),)]
)
def test_both_spellings_carry_the_credential(metadata: tuple[tuple[str, str], ...]) -> None:
    assert credential_of(metadata) == Credential("k")
    assert "k" not in repr(credential_of(metadata)).removeprefix("<Credential>")
