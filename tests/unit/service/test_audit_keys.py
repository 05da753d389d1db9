from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from service import config
from service.audit_keys import AuditKeys, audit_keys_of, new_signing_key
from service.config import ConfigError
from tests.unit.cli.configs import write_config


def keys_of(folder: Path) -> AuditKeys:
    return audit_keys_of(config.load(folder / "cohort.toml", {}))


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        keys_of(folder)
    return refused.value.problems


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path)
    return tmp_path


def test_a_new_signing_key_is_read_back_and_signs(folder: Path) -> None:
    keys = keys_of(folder)
    signature = keys.signing_key.sign(b"checkpoint")

    keys.signing_key.public_key().verify(signature, b"checkpoint")
    assert keys.hmac_key == (folder / "audit-hmac.key").read_bytes()


def test_the_keys_may_stand_in_the_environment(folder: Path) -> None:
    file = folder / "cohort.toml"
    text = file.read_text().replace("file:audit-hmac.key", "env:HMAC_KEY")
    file.write_text(text.replace("file:audit-signing.key", "env:SIGNING_KEY"))
    pem = new_signing_key()

    keys = audit_keys_of(config.load(file, {"HMAC_KEY": "k" * 32, "SIGNING_KEY": pem}))

    assert keys.hmac_key == b"k" * 32
    assert keys.signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() == pem


def test_each_new_signing_key_is_another_one() -> None:
    assert new_signing_key() != new_signing_key()


def test_the_keys_do_not_show_themselves(folder: Path) -> None:
    keys = keys_of(folder)

    assert keys.hmac_key.decode() not in repr(keys)


def test_keys_that_are_missing_are_told_together(folder: Path) -> None:
    (folder / "audit-hmac.key").unlink()
    (folder / "audit-signing.key").unlink()

    assert [problem.partition(": file:")[0] for problem in problems_of(folder)] == [
        "audit.hmac_key",
        "audit.signing_key",
    ]


def test_a_short_hmac_key_could_be_guessed(folder: Path) -> None:
    (folder / "audit-hmac.key").write_text("k" * 31)

    assert problems_of(folder) == ["audit.hmac_key: shorter than 32 characters, so it could be guessed"]


def other_curve() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encrypted() -> bytes:
    encryption = BestAvailableEncryption(b"passphrase")
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_half() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("pem", "problem"),
    [
        (other_curve(), "not an Ed25519 key"),
        (encrypted(), "no unencrypted private key in PEM"),
        (public_half(), "no unencrypted private key in PEM"),
        (b"secret-but-no-pem", "no unencrypted private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n", "no unencrypted private key in PEM"),
        ("schlüssel".encode(), "file:{}: holds control or non-ASCII characters"),
        (b"", "file:{}: empty"),
        (b"k" * 4097, "file:{}: longer than 4096 bytes"),
    ],
    ids=["another curve", "encrypted", "public", "no PEM", "broken PEM", "no ASCII", "empty", "long"],
)
def test_what_is_no_ed25519_key_signs_nothing_and_is_not_repeated(folder: Path, pem: bytes, problem: str) -> None:
    (folder / "audit-signing.key").write_bytes(pem)

    assert problems_of(folder) == [f"audit.signing_key: {problem.format(folder / 'audit-signing.key')}"]
