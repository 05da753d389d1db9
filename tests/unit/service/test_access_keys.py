import contextlib
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import CredentialAmbiguous
from service.identity.access_keys import (
    AccessKeyRecord,
    AccessKeys,
    checksum_of,
    create,
    digest_of,
)
from service.identity.credential import Credential, credential_of
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused

PEPPER = b"p" * 32
NOW_S = 1_000_000.0
PRINCIPAL = Principal("search", "indexer", frozenset({"chat"}), "access_key", "x")


def keys_with(key_id: str, access_key: str, *, pepper: bytes = PEPPER, expires_at_s: float = NOW_S + 1) -> AccessKeys:
    record = AccessKeyRecord(key_id, digest_of(access_key, pepper), "1", PRINCIPAL, expires_at_s)
    return AccessKeys("prod", {"1": PEPPER}, [record])


def why_refused(keys: AccessKeys, access_key: str) -> str:
    with pytest.raises(CredentialRefused) as raised:
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
        f"unknown access key {other_id}",
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


def test_a_call_without_a_credential_has_none() -> None:
    assert credential_of(()) is None
    assert credential_of(None) is None
    assert credential_of((("user-agent", "x"),)) is None


@pytest.mark.parametrize(
    "metadata",
    [
        (("x-api-key", "a"), ("authorization", "Bearer a")),
        (("x-api-key", "a"), ("x-api-key", "a")),
        (("authorization", "Bearer a"), ("authorization", "Bearer b")),
    ],
)
def test_two_credentials_are_one_too_many(metadata: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(CredentialAmbiguous):
        credential_of(metadata)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        (("authorization", "Basic a"), "another scheme"),
        (("authorization", "Bearer"), "empty"),
        (("authorization", "Bearer  "), "empty"),
        (("x-api-key", ""), "empty"),
        (("x-api-key", "a" * 9000), "too long"),
        (("x-api-key", b"a"), "not text"),
    ],
)
def test_what_is_no_credential_is_refused(metadata: tuple[str, str | bytes], why: str) -> None:
    with pytest.raises(CredentialRefused, match=why):
        credential_of((metadata,))


def test_a_revoked_key_says_so_in_the_log_and_only_to_who_has_it() -> None:
    key_id, access_key = create("prod")
    revoked = AccessKeyRecord(key_id, digest_of(access_key, PEPPER), "1", PRINCIPAL, NOW_S + 1, revoked=True)
    forged = access_key[:-7] + ("a" if access_key[-7] != "a" else "b")
    keys = AccessKeys("prod", {"1": PEPPER}, [revoked])

    assert why_refused(keys, access_key) == f"revoked access key {key_id}"
    assert why_refused(keys, forged + checksum_of(forged)) == f"wrong secret for access key {key_id}"


def test_a_row_that_somebody_else_wrote_gives_no_access() -> None:
    key_id, access_key = create("prod")
    plain = AccessKeyRecord(key_id, hashlib.sha256(access_key.encode()).digest(), "1", PRINCIPAL, NOW_S + 1)
    of_no_pepper = AccessKeyRecord(key_id, digest_of(access_key, b""), "", PRINCIPAL, NOW_S + 1)

    for forged in (plain, of_no_pepper, AccessKeyRecord(key_id, digest_of(access_key, b""), "9", PRINCIPAL, NOW_S + 1)):
        assert why_refused(AccessKeys("prod", {"1": PEPPER}, [forged]), access_key).startswith("wrong secret")


@pytest.mark.parametrize(
    "metadata", [(("x-api-key", "k"),), (("authorization", "Bearer k"),), (("authorization", "bearer k"),)]
)
def test_both_spellings_carry_the_credential(metadata: tuple[tuple[str, str], ...]) -> None:
    assert credential_of(metadata) == Credential("k")
    assert "k" not in repr(credential_of(metadata)).removeprefix("<Credential>")


def test_a_record_under_a_pepper_that_the_config_does_not_have_gives_no_access_whatever_its_digest() -> None:
    key_id, access_key = create("prod")
    forged = AccessKeyRecord(key_id, digest_of(access_key, b""), "2", PRINCIPAL, NOW_S + 1)

    assert (
        why_refused(AccessKeys("prod", {"1": PEPPER}, [forged]), access_key) == f"wrong secret for access key {key_id}"
    )


def test_each_of_many_keys_is_found() -> None:
    created = [create("prod") for _ in range(1_000)]
    principals = [Principal("search", key_id, frozenset({"chat"}), "access_key", key_id) for key_id, _ in created]
    keys = AccessKeys(
        "prod",
        {"1": PEPPER},
        [
            AccessKeyRecord(key_id, digest_of(access_key, PEPPER), "1", principal, NOW_S + 1)
            for (key_id, access_key), principal in zip(created, principals, strict=True)
        ],
    )

    assert [keys.principal_of(access_key, NOW_S) for _, access_key in created] == principals


class CountedId(str):
    """An id that counts how often it is compared."""

    __slots__ = ()
    __hash__ = str.__hash__
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedId.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_an_unknown_id_is_compared_as_often_as_a_known_one(count: int) -> None:
    created = [create("prod") for _ in range(count)]
    keys = AccessKeys(
        "prod",
        {"1": PEPPER},
        [
            AccessKeyRecord(CountedId(key_id), digest_of(access_key, PEPPER), "1", PRINCIPAL, NOW_S + 1)
            for key_id, access_key in created
        ],
    )

    def compared(access_key: str) -> int:
        CountedId.compared = 0
        with contextlib.suppress(CredentialRefused):
            keys.principal_of(access_key, NOW_S)
        return CountedId.compared

    known = {compared(access_key) for _, access_key in created}
    unknown = {compared(create("prod")[1]) for _ in range(50)}

    assert len(known | unknown) == 1
