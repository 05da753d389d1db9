from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.identity.issuers.jwks import KEYS_MAX, keys_of
from tests.identity.issuers.signing import Key, ec_key, ed_key, rsa_key, rsa_private

ALL = ("RS256", "PS256", "ES256", "ES384", "EdDSA")


def usable(*entries: Any, algorithms: tuple[str, ...] = ALL) -> set[tuple[str, str | None]]:
    found = keys_of({"keys": list(entries)}, algorithms)
    return {(algorithm, kid) for algorithm, keys in found.items() for kid in keys}


@pytest.mark.parametrize("key", [rsa_key("k"), rsa_key("k", "PS256"), ec_key("k"), ec_key("k", "ES384"), ed_key("k")])
def test_a_key_is_usable_for_its_algorithm(key: Key) -> None:
    assert usable(key.jwk) == {(key.algorithm, "k"), (key.algorithm, None)}


def test_a_key_that_names_no_algorithm_is_usable_for_all_that_it_fits() -> None:
    entry = {name: value for name, value in rsa_key("k").jwk.items() if name not in {"alg", "use"}}

    assert usable(entry) == {("RS256", "k"), ("PS256", "k"), ("RS256", None), ("PS256", None)}


def test_an_algorithm_that_is_not_allowed_has_no_keys() -> None:
    assert usable(rsa_key().jwk, ec_key().jwk, algorithms=("EdDSA",)) == set()


OTHERS: dict[str, Any] = {
    "a key for encryption": {**rsa_key().jwk, "use": "enc"},
    "a key whose use is no text": {**rsa_key().jwk, "use": None},
    "a key for signing alone": {**rsa_key().jwk, "key_ops": ["sign"]},
    "a key whose operations are no list": {**rsa_key().jwk, "key_ops": "verify"},
    "a key of another algorithm": {**rsa_key().jwk, "alg": "RSA-OAEP"},
    "a key whose algorithm is no text": {**rsa_key().jwk, "alg": None},
    "a key of an algorithm that it does not fit": {**rsa_key().jwk, "alg": "ES256"},
    "a symmetric key": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
    "a symmetric key that says it is for RS256": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "RS256"},
    "a private key": {**RSAAlgorithm.to_jwk(rsa_private("issuer"), as_dict=True), "kid": "k"},
    "an RSA key of 1024 bits": {
        **RSAAlgorithm.to_jwk(rsa_private("weak", 1024).public_key(), as_dict=True), "kid": "k"
    },
    "a curve that signs nothing here": {
        **ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256K1()).public_key(), as_dict=True), "kid": "k"
    },
    "a curve of a longer algorithm": {
        **ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP521R1()).public_key(), as_dict=True), "kid": "k"
    },
    "an Ed448 key": {**OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True), "kid": "k"},
    "an unknown curve": {**ec_key().jwk, "crv": "P-1"},
    "a point that is on no curve": {**ec_key().jwk, "x": ec_key().jwk["x"]},
    "a key with a member of another type": {**rsa_key().jwk, "n": 7},
    "a key without a member": {"kty": "RSA", "kid": "k"},
    "an even exponent": {**rsa_key().jwk, "e": "Ag"},
    "a key of an unknown kind": {"kty": "AKP", "kid": "k"},
    "a kind that is no text": {**rsa_key().jwk, "kty": ["RSA"]},
    "no object": "key",
    "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize("entry", OTHERS.values(), ids=list(OTHERS))
def test_what_no_token_may_be_signed_with_is_left_out_and_the_rest_stays(entry: Any) -> None:
    assert usable(entry) == set()
    assert ("ES256", "other") in usable(entry, ec_key("other").jwk)


def test_a_token_without_a_key_id_may_mean_the_only_key_of_its_algorithm() -> None:
    assert ("RS256", None) in usable(rsa_key().jwk, ec_key().jwk)
    assert ("RS256", None) in usable(rsa_key(None).jwk, ec_key().jwk)
    assert ("RS256", None) not in usable(rsa_key("a").jwk, rsa_key("b").jwk)
    assert ("RS256", None) not in usable(rsa_key(None).jwk, rsa_key("b").jwk)


def test_a_key_id_that_two_keys_bear_means_neither() -> None:
    assert usable(rsa_key("k").jwk, rsa_key("k", name="other").jwk) == set()
    assert ("RS256", "k") not in usable(*(rsa_key("k", name=name).jwk for name in ("issuer", "other", "third")))


def test_keys_of_two_algorithms_may_bear_the_same_id() -> None:
    assert {("RS256", "k"), ("ES256", "k")} <= usable(rsa_key("k").jwk, ec_key("k").jwk)


@pytest.mark.parametrize("kid", [7, None, ["k"], {"k": 1}])
def test_a_key_id_that_is_no_text_is_none(kid: Any) -> None:
    assert usable({**rsa_key().jwk, "kid": kid}) == {("RS256", None)}


@pytest.mark.parametrize("keys", [None, {}, "all", [{}] * (KEYS_MAX + 1)])
def test_what_is_no_key_set_is_refused_whole(keys: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        keys_of({"keys": keys}, ALL)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
members = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"]) | json},
    optional={
        "crv": st.sampled_from(["P-256", "P-384", "Ed25519", "X25519"]) | json,
        **{
            name: json | st.text("ABCDabcd-_", max_size=60) for name in ("n", "e", "x", "y", "use", "alg", "kid", "oth")
        },
    },
)


@given(st.lists(members | json, max_size=4))
def test_no_key_set_fails_in_another_way(entries: list[Any]) -> None:
    assert ("ES256", "good") in usable(*entries, ec_key("good").jwk)
