from pathlib import Path

import pytest
import structlog
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from service.config import ConfigError
from service.tls import PortCredentials, certificate_of


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    structlog.reset_defaults()
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(paths)
    return paths


def issue(files: tuple[Path, Path]) -> None:
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(files[0])
    issued.private_key_pem.write_to_path(files[1])


def test_a_handshake_is_told_of_what_changed_and_of_nothing_else(files: tuple[Path, Path]) -> None:
    authorities = [b"one"]
    port = PortCredentials(certificate_of(*files), lambda: authorities[0])
    told = [port.renewed() is not None for _ in range(2)]
    issue(files)
    told += [port.renewed() is not None for _ in range(2)]
    authorities[0] = b"two"
    told += [port.renewed() is not None for _ in range(2)]

    assert told == [True, False] * 3


def test_two_ports_are_each_told_of_the_same_change(files: tuple[Path, Path]) -> None:
    certificate = certificate_of(*files)
    ports = PortCredentials(certificate), PortCredentials(certificate, lambda: b"authorities")
    first = [port.renewed() for port in ports]
    issue(files)

    assert None not in first
    assert None not in [port.renewed() for port in ports]


def test_a_broken_key_is_told_of_once_not_at_every_handshake(files: tuple[Path, Path]) -> None:
    port = PortCredentials(certificate_of(*files))
    port.renewed()
    files[1].write_text("broken")
    with capture_logs() as lines:
        renewed = [port.renewed() for _ in range(3)]

    assert renewed == [None] * 3
    assert [(line["event"], line["problem"]) for line in lines] == [
        ("certificate not readable", "no certificate and its key")
    ]


def test_a_key_of_another_certificate_stops_the_start(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem", tmp_path / "other.key"
    issue(other)
    with pytest.raises(ConfigError, match="are no certificate and its key"):
        certificate_of(files[0], other[1])


def test_an_encrypted_key_stops_the_start_and_asks_nobody(files: tuple[Path, Path]) -> None:
    key = load_pem_private_key(files[1].read_bytes(), None)
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    with pytest.raises(ConfigError, match="are no certificate and its key"):
        certificate_of(*files)


def test_a_missing_file_is_named(files: tuple[Path, Path]) -> None:
    files[1].unlink()
    with pytest.raises(ConfigError, match=r"^server\.tls: .*key\.pem: No such file or directory$"):
        certificate_of(*files)
