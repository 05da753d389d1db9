"""What every JWT has to say, of whichever issuer: the rows that only issuers' keys and types can show."""

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.identity.jwt_checks import claims_of
from service.identity.refusals import CredentialRefused
from service.public_keys import PublicKey, fits

ISSUER = "https://login.example.com/"
RSA = rsa.generate_private_key(65537, 2048)
ACCESS_TOKEN = ("at+jwt", "application/at+jwt")

KEYS: dict[
    str,
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey | ed448.Ed448PrivateKey,
] = {
    "RSA of 1024 bits": rsa.generate_private_key(65537, 1024),
    "RSA of 2048 bits": RSA,
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": Ed25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
}
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
FITTING = {"RSA of 2048 bits": RSA_ALGORITHMS, "P-256": {"ES256"}, "P-384": {"ES384"}, "Ed25519": {"EdDSA"}}


def token(key: rsa.RSAPrivateKey, algorithm: str = "RS256", typ: str = "at+jwt", **changes: object) -> str:
    now_s = int(time.time())
    good = {"iss": ISSUER, "sub": "ada", "aud": "cohort", "iat": now_s, "exp": now_s + 60}
    # Not by `jwt.encode`, which refuses to write some of what is to be refused here.
    return jwt.PyJWS().encode(json.dumps(good | changes).encode(), key, algorithm, {"typ": typ})


def claims(text: str, key: PublicKey, algorithms: tuple[str, ...] = ("RS256",)) -> dict[str, object]:
    return claims_of(text, key, algorithms, issuer=ISSUER, audience="cohort", now_s=time.time(), types=ACCESS_TOKEN)


@pytest.mark.parametrize("algorithm", [*sorted(RSA_ALGORITHMS), "ES256", "ES384", "EdDSA", "HS256", "none", "ES256K"])
@pytest.mark.parametrize("name", KEYS)
def test_a_key_fits_the_algorithms_of_its_kind_alone(name: str, algorithm: str) -> None:
    assert fits(KEYS[name].public_key(), algorithm) == (algorithm in FITTING.get(name, set()))


def test_a_token_of_an_issuer_is_accepted_with_its_claims() -> None:
    assert claims(token(RSA, more=1), RSA.public_key())["more"] == 1


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_an_rsa_key_below_2048_bits_verifies_nothing() -> None:
    short = rsa.generate_private_key(65537, 1024)

    with pytest.raises(CredentialRefused, match="its key is not for"):
        claims(token(short), short.public_key())


@pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
def test_an_algorithm_that_the_key_could_be_used_with_is_refused_if_it_is_not_the_issuers(algorithm: str) -> None:
    with pytest.raises(CredentialRefused, match="token of another algorithm"):
        claims(token(RSA, algorithm), RSA.public_key())


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_an_access_token_says_that_it_is_one(typ: str) -> None:
    assert claims(token(RSA, typ=typ), RSA.public_key())["sub"] == "ada"


@pytest.mark.parametrize("typ", ["JWT", "", "id+jwt", "at+jwt ", "logout+jwt"])
def test_a_token_of_another_type_is_refused(typ: str) -> None:
    with pytest.raises(CredentialRefused, match="token of another type"):
        claims(token(RSA, typ=typ), RSA.public_key())


def test_any_type_is_accepted_where_none_is_required() -> None:
    found = claims_of(
        token(RSA, typ="any"), RSA.public_key(), ("RS256",), issuer=ISSUER, audience="cohort", now_s=time.time()
    )

    assert found["sub"] == "ada"


@pytest.mark.parametrize("issuer", [ISSUER[:-1], ISSUER + "x", ISSUER.upper(), "", 1, [ISSUER]])
def test_another_issuer_is_refused(issuer: object) -> None:
    with pytest.raises(CredentialRefused, match="token of another issuer"):
        claims(token(RSA, iss=issuer), RSA.public_key())


@pytest.mark.parametrize("subject", ["Ada Lovelace", "søren@example.com", "s" * 200])
def test_a_subject_is_any_printable_text(subject: str) -> None:
    assert claims(token(RSA, sub=subject), RSA.public_key())["sub"] == subject


@pytest.mark.parametrize("subject", ["", "a\nb", "a\x00", "a\u202eb", "\ud800", "s" * 201])
def test_a_subject_that_cannot_be_shown_is_refused(subject: str) -> None:
    with pytest.raises(CredentialRefused, match="token without a subject"):
        claims(token(RSA, sub=subject), RSA.public_key())


@pytest.mark.parametrize("parts", ["", "a", "a.b", "..", "a.b.c.d", "....", "a.b.c"])
def test_what_has_not_the_shape_of_a_jwt_is_refused(parts: str) -> None:
    with pytest.raises(CredentialRefused, match="malformed token"):
        claims(parts, RSA.public_key())
