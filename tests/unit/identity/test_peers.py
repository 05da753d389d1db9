"""Which SPIFFE id a certificate has: that which its own trust domain vouches for, now."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from service.context import Context
from service.identity import peer as peers
from service.identity.bundle import bundle_of
from service.identity.peer import CHAIN_BYTES_MAX, REFUSAL_KEPT_S, Peer, Peers
from service.identity.trust_domains import TrustDomains
from tests.identity.authority import HOUR_S, Authority, Issued, uris, usage

ID = "spiffe://prod.example.com/search/indexer"
OTHER_ID = "spiffe://test.example.com/search/indexer"
NO_ID = "client certificate without exactly one SPIFFE id"
MALFORMED = "client certificate with a malformed SPIFFE id"


class Domains:
    """Two trust domains in a folder, and the peers that they know."""

    def __init__(self, folder: Path) -> None:
        self.prod, self.test = Authority("prod"), Authority("test")
        self.files = {"prod.example.com": folder / "prod.pem", "test.example.com": folder / "test.pem"}
        self.write("prod.example.com", [self.prod])
        self.write("test.example.com", [self.test])
        self.trust_domains = TrustDomains()
        self.know(*self.files)
        self.peers = Peers(self.trust_domains)

    def write(self, name: str, authorities: Sequence[Authority]) -> None:
        self.files[name].write_bytes(b"".join(each.pem for each in authorities))

    def know(self, *names: str) -> None:
        self.trust_domains.know({name: bundle_of(self.files[name]) for name in names})

    def peer(self, issued: Issued, *, after_s: float = HOUR_S, chain: bytes | None = None) -> Peer:
        """The peer with a certificate, some time after that became valid."""
        return self.peers.peer(issued.pem, issued.chain_pem if chain is None else chain, issued.begins_s + after_s)


@pytest.fixture
def domains(tmp_path: Path) -> Domains:
    return Domains(tmp_path)


def test_a_workload_is_who_its_trust_domain_says(domains: Domains) -> None:
    issued = domains.prod.workload(ID)
    digest = base64.urlsafe_b64encode(issued.certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")

    assert domains.peer(issued) == Peer(digest, ID)
    assert domains.peer(domains.test.workload(OTHER_ID)).spiffe_id == OTHER_ID


def test_a_dns_name_beside_the_id_changes_nothing(domains: Domains) -> None:
    assert domains.peer(domains.prod.issue([x509.DNSName("indexer"), *uris(ID)])).spiffe_id == ID


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], NO_ID),
        ([x509.DNSName("prod.example.com")], NO_ID),
        (uris(ID, ID), NO_ID),
        (uris(ID, "https://example.com/"), NO_ID),
        (uris("https://example.com/search"), MALFORMED),
        (uris("spiffe://prod.example.com"), MALFORMED),
        (uris("spiffe://PROD.example.com/search"), MALFORMED),
        (uris("spiffe://prod.example.com/%2e%2e/admin"), MALFORMED),
        (uris("spiffe://dev.example.com/search"), "client certificate of an unknown trust domain"),
    ],
)
def test_a_certificate_without_one_good_id_has_none(
    domains: Domains, names: list[x509.GeneralName], problem: str
) -> None:
    peer = domains.peer(domains.prod.issue(names))

    assert (peer.spiffe_id, peer.problem) == ("", problem)
    assert peer.certificate_hash


def test_a_trust_domain_does_not_vouch_for_the_ids_of_another(domains: Domains) -> None:
    peer = domains.peer(domains.test.workload(ID))

    assert not peer.spiffe_id
    assert peer.problem.startswith("client certificate not of its trust domain: ")


def test_an_authority_of_the_same_name_is_another(domains: Domains) -> None:
    assert not domains.peer(Authority("prod").workload(ID)).spiffe_id


@pytest.mark.parametrize(
    "more",
    [
        {"ca": True, "key_usage": usage("key_cert_sign")},
        {"ca": True},
        {"key_usage": usage("digital_signature", "key_cert_sign")},
        {"key_usage": usage("digital_signature", "crl_sign")},
    ],
)
def test_what_may_sign_certificates_is_no_workload(domains: Domains, more: dict[str, Any]) -> None:
    peer = domains.peer(domains.prod.issue(uris(ID), **more))

    assert (peer.spiffe_id, peer.problem) == ("", "client certificate of an authority")


def test_an_authority_itself_is_no_workload(domains: Domains) -> None:
    assert not domains.peer(domains.prod.issued).spiffe_id


def test_a_servers_certificate_is_no_clients(domains: Domains) -> None:
    peer = domains.peer(domains.prod.issue(uris(ID), purposes=[ExtendedKeyUsageOID.SERVER_AUTH]))

    assert not peer.spiffe_id


def test_a_certificate_is_refused_from_its_end_on_though_the_connection_is_old(domains: Domains) -> None:
    issued = domains.prod.workload(ID, hours=1)
    lifetime_s = issued.ends_s - issued.begins_s

    assert domains.peer(issued, after_s=lifetime_s - 1).spiffe_id == ID
    assert domains.peer(issued, after_s=lifetime_s).spiffe_id == ID
    assert domains.peer(issued, after_s=lifetime_s + 1).problem == "expired client certificate"


def test_a_certificate_is_refused_before_its_beginning(domains: Domains) -> None:
    issued = domains.prod.workload(ID)

    assert domains.peer(issued, after_s=-REFUSAL_KEPT_S).problem == "client certificate not valid yet"
    assert domains.peer(issued, after_s=0).spiffe_id == ID


def test_intermediates_lead_to_the_bundle(domains: Domains) -> None:
    issued = Authority("near", Authority("far", domains.prod)).workload(ID)

    assert len(issued.intermediates) == 2
    assert domains.peer(issued).spiffe_id == ID
    assert not domains.peer(issued, chain=b"").spiffe_id


def test_an_intermediate_that_ends_first_ends_it(domains: Domains) -> None:
    issued = Authority("near", domains.prod, hours=2).workload(ID, hours=24)

    assert domains.peer(issued).spiffe_id == ID
    assert not domains.peer(issued, after_s=4 * HOUR_S).spiffe_id


def test_an_intermediate_alone_makes_nobody_known(domains: Domains) -> None:
    assert not domains.peer(Authority("near", Authority("prod")).workload(ID)).spiffe_id


def test_intermediates_without_end_are_left_out(domains: Domains) -> None:
    issued = Authority("near", domains.prod).workload(ID)
    long = issued.chain_pem * (CHAIN_BYTES_MAX // len(issued.chain_pem))

    assert domains.peer(issued, chain=long).spiffe_id == ID
    assert not domains.peer(issued, chain=long + issued.chain_pem).spiffe_id


def test_broken_intermediates_make_nobody_known(domains: Domains) -> None:
    issued = Authority("near", domains.prod).workload(ID)

    assert domains.peer(issued, chain=issued.chain_pem[:-80]).problem == "unreadable client certificate"


def test_an_authority_that_is_taken_away_vouches_no_more(domains: Domains) -> None:
    issued, new = domains.prod.workload(ID), Authority("new")
    before = domains.peer(issued)
    domains.write("prod.example.com", [domains.prod, new])
    domains.trust_domains.look()
    both = domains.peer(issued), domains.peer(new.workload(ID))
    domains.write("prod.example.com", [new])
    domains.trust_domains.look()

    assert before == both[0]
    assert both[1].spiffe_id == ID
    assert not domains.peer(issued).spiffe_id
    assert domains.peer(new.workload(ID)).spiffe_id == ID


def test_trust_domains_come_and_go_with_the_config(domains: Domains) -> None:
    issued = domains.prod.workload(ID)
    domains.know("test.example.com")
    without = domains.peer(issued)
    domains.know("prod.example.com")

    assert without.problem == "client certificate of an unknown trust domain"
    assert domains.peer(issued).spiffe_id == ID


def test_a_certificate_is_verified_once(domains: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    judge = peers._judge

    def counted(trust_domains: TrustDomains, leaf: bytes, chain: bytes, now_s: float) -> Any:
        seen.append(leaf)
        return judge(trust_domains, leaf, chain, now_s)

    monkeypatch.setattr(peers, "_judge", counted)
    good, bad = domains.prod.workload(ID), domains.test.workload(ID)
    for _ in range(3):
        domains.peer(good)
        domains.peer(bad)
    assert seen == [good.pem, bad.pem]

    domains.peer(bad, after_s=HOUR_S + REFUSAL_KEPT_S)
    assert seen == [good.pem, bad.pem, bad.pem]


def test_only_so_many_certificates_are_remembered(domains: Domains, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PEERS_MAX", 2)
    for _ in range(4):
        domains.peer(domains.prod.workload(ID))

    assert len(domains.peers._judged) == 2


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.data())
def test_a_damaged_certificate_is_refused_and_raises_nothing(data: st.DataObject) -> None:
    damaged = bytearray(DER)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    if damaged == DER:
        return
    peer = Peers(KNOWN).peer(pem_of(bytes(damaged)), b"", SOUND.begins_s + 1)

    assert peer.spiffe_id in {"", ID}
    assert peer.certificate_hash != SOUND_HASH
    # The signature's own bytes may be written in more than one way; what it signs may not.
    if peer.spiffe_id:
        assert (
            x509.load_der_x509_certificate(bytes(damaged)).tbs_certificate_bytes
            == SOUND.certificate.tbs_certificate_bytes
        )


def test_without_a_certificate_there_is_no_peer(domains: Domains) -> None:
    class Plain:
        def auth_context(self) -> dict[str, list[bytes]]:
            return {"transport_security_type": [b"ssl"], "security_level": [b"TSI_PRIVACY_AND_INTEGRITY"]}

    assert domains.peers.peer_of(cast("Context", Plain()), 0.0) is None


def pem_of(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module", autouse=True)
def _known(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("bundle") / "prod.pem"
    file.write_bytes(PROD.pem)
    KNOWN.know({"prod.example.com": bundle_of(file)})


PROD, KNOWN = Authority("prod"), TrustDomains()
SOUND = PROD.workload(ID)
DER = SOUND.certificate.public_bytes(Encoding.DER)
SOUND_HASH = base64.urlsafe_b64encode(SOUND.certificate.fingerprint(hashes.SHA256())).decode().rstrip("=")
