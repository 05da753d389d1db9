"""Which public keys a service account may have, and the form in which they are kept."""

import base64
import textwrap

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from service.public_keys import PublicKeyRefused, public_key_of

ED25519 = Ed25519PrivateKey.generate()
P256 = ec.generate_private_key(ec.SECP256R1())

_P256_SHORT = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
"""What stands before a point of P-256 in its short form."""


def pem_of(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def armoured(der: bytes) -> str:
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(("key", "algorithm"), [(ED25519, "EdDSA"), (P256, "ES256")], ids=["Ed25519", "P-256"])
def test_a_key_says_its_algorithm_and_is_kept_as_it_is(
    key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, algorithm: str
) -> None:
    read = public_key_of(pem_of(key))

    assert read.algorithm == algorithm
    assert read.pem == pem_of(key)
    assert read.key == key.public_key()


@pytest.mark.parametrize("spelling", ["before\n{}after", "{}\n\n"])
def test_one_form_is_kept_of_a_key(spelling: str) -> None:
    pem = pem_of(ED25519)

    assert public_key_of(spelling.format(pem).replace("\n", "\r\n")).pem == pem


def test_a_point_in_its_short_form_is_kept_in_the_long_one() -> None:
    short = P256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    assert public_key_of(armoured(_P256_SHORT + short)).pem == pem_of(P256)


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(PublicKeyRefused, match="must be one public key"):
        public_key_of(armoured(_P256_SHORT + b"\x02" + b"\xff" * 32))


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH])
@pytest.mark.parametrize("before", ["", pem_of(ED25519)])
def test_a_private_key_is_refused_without_being_quoted(form: PrivateFormat, before: str) -> None:
    pem = ED25519.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

    with pytest.raises(PublicKeyRefused, match="holds a private key") as caught:
        public_key_of(before + pem)

    assert pem.splitlines()[1][:16] not in str(caught.value)


OTHERS = {
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "Ed448": ed448.Ed448PrivateKey.generate(),
    "X25519": x25519.X25519PrivateKey.generate(),
    "RSA": rsa.generate_private_key(65537, 2048),
    "DSA": dsa.generate_private_key(1024),
}


@pytest.mark.parametrize("key", OTHERS.values(), ids=OTHERS)
def test_a_key_of_another_kind_is_refused(
    key: ec.EllipticCurvePrivateKey
    | ed448.Ed448PrivateKey
    | x25519.X25519PrivateKey
    | rsa.RSAPrivateKey
    | dsa.DSAPrivateKey,
) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    with pytest.raises(PublicKeyRefused, match="must be an Ed25519 or a P-256 key"):
        public_key_of(pem)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n",
        pem_of(ED25519) * 2,
        pem_of(ED25519) + " " * 1_000,
        pem_of(ED25519).replace("PUBLIC", "RSA PUBLIC"),
        pem_of(ED25519).replace("A", "\x00"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_what_is_not_one_public_key_is_refused(text: str) -> None:
    with pytest.raises(PublicKeyRefused, match="must be one public key"):
        public_key_of(text)
