from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from service.followed import FileUnusable
from service.identity.bundle import bundle_of
from service.identity.trust_domains import TrustDomains
from tests.identity.authority import Authority, uris, usage


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bundle.pem"


def test_a_bundle_may_hold_several_authorities_and_remarks(file: Path) -> None:
    one, two = Authority("one"), Authority("two")
    file.write_bytes(b"the old one:\n" + one.pem + b"# the new one:\n" + two.pem)

    assert bundle_of(file).value.certificates == (one.pem, two.pem)


@pytest.mark.parametrize(
    "content", [b"", b"secret-text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_holds_no_certificates_is_no_bundle(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(FileUnusable, match=r"^holds no certificates, or broken ones$"):
        bundle_of(file)


def test_a_bundle_that_was_cut_off_is_none(file: Path) -> None:
    file.write_bytes(Authority("one").pem + Authority("two").pem[:-40])
    with pytest.raises(FileUnusable, match=r"^holds something else than whole certificates$"):
        bundle_of(file)


def test_a_bundle_holds_nobody_who_may_not_sign(file: Path) -> None:
    authority = Authority("one")
    workload = authority.issue(uris("spiffe://prod.example.com/a"))
    no_signer = authority.issue([], ca=True, key_usage=usage("crl_sign"))
    for stranger in (workload, no_signer):
        file.write_bytes(authority.pem + stranger.certificate.public_bytes(Encoding.PEM))
        with pytest.raises(FileUnusable, match=r"^certificate 2 is not that of an authority"):
            bundle_of(file)


def test_tls_believes_the_authorities_of_all_trust_domains(tmp_path: Path) -> None:
    one, two = Authority("one"), Authority("two")
    files = {"a": tmp_path / "a.pem", "b": tmp_path / "b.pem"}
    files["a"].write_bytes(one.pem)
    files["b"].write_bytes(two.pem + one.pem)
    domains = TrustDomains()
    domains.know({name: bundle_of(file) for name, file in files.items()})
    before = domains.pem()
    files["b"].write_bytes(two.pem)
    files["a"].write_bytes(two.pem)

    assert before == one.pem + two.pem
    assert domains.pem() == two.pem
    assert domains.files() == list(files.values())
