"""The client certificate of a call's connection: the SPIFFE id that its own trust domain vouches for.

TLS has verified it when the connection was made. It is judged again here, at every call: by what the trust domains
are then, and what the time is. Nothing else tells who is connected; no header does.
"""

import base64
import ssl
from collections import OrderedDict
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509

from service.context import Context
from service.identity.bundle import UNREADABLE, Authorities
from service.identity.refusals import CredentialRefused
from service.identity.trust_domains import TrustDomains, verify
from service.spiffe_id import trust_domain_of

PEERS_MAX = 1024
CHAIN_BYTES_MAX = 16 * 1024
"""Of the intermediates that a peer sends; with more than that they are left out, and do not vouch for it."""
REFUSAL_KEPT_S = 10.0
"""How long a certificate that was refused is refused unseen."""


class Peer(NamedTuple):
    """Who holds the other end of the connection."""

    certificate_hash: str
    """SHA-256 of the DER form, base64url without padding: what `cnf.x5t#S256` says (RFC 8705 section 3.1)."""
    spiffe_id: str
    """The one URI in the certificate, which its trust domain vouches for; empty if there is no such."""
    problem: str = ""
    """Why there is none, for operators."""


class _Judged(NamedTuple):
    peer: Peer
    trust_domain: str
    authorities: Authorities | None
    until_s: float


class Peers:
    """Knows the peers of connections, and remembers the last `PEERS_MAX` certificates.

    Args:
        trust_domains: Who vouches for them.
    """

    def __init__(self, trust_domains: TrustDomains) -> None:
        self._trust_domains = trust_domains
        self._judged: OrderedDict[tuple[bytes, bytes], _Judged] = OrderedDict()

    def peer_of(self, context: Context, now_s: float) -> Peer | None:
        """The peer of a call's connection; None if it has shown no certificate.

        Args:
            context: The call's.
            now_s: The time, Unix seconds.
        """
        properties = context.auth_context()
        leaf = b"".join(properties.get("x509_pem_cert", ()))
        return self.peer(leaf, b"".join(properties.get("x509_pem_cert_chain", ())), now_s) if leaf else None

    def peer(self, leaf: bytes, chain: bytes, now_s: float) -> Peer:
        """The peer with these certificates.

        Args:
            leaf: Its own, PEM.
            chain: What it sent with it, PEM.
            now_s: The time, Unix seconds.
        """
        if len(chain) > CHAIN_BYTES_MAX:
            chain = b""
        key = leaf, chain
        judged = self._judged.get(key)
        if (
            judged is None
            or now_s >= judged.until_s
            or judged.authorities is not self._trust_domains.authorities_of(judged.trust_domain)
        ):
            judged = self._judged[key] = _judge(self._trust_domains, leaf, chain, now_s)
            if len(self._judged) > PEERS_MAX:
                self._judged.popitem(last=False)
        self._judged.move_to_end(key)
        return judged.peer


def no_peer(_: Context, __: float) -> None:
    """The peer of a call where no port asks for certificates."""


def _judge(trust_domains: TrustDomains, leaf: bytes, chain: bytes, now_s: float) -> _Judged:
    der = ssl.PEM_cert_to_DER_cert(leaf.decode("ascii"))
    certificate_hash = base64.urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()
    trust_domain, authorities = "", None
    try:
        certificate = x509.load_der_x509_certificate(der)
        spiffe_id, trust_domain = _spiffe_id_of(certificate)
        authorities = trust_domains.authorities_of(trust_domain)
        intermediates = x509.load_pem_x509_certificates(chain) if chain else []
        until_s = verify(authorities, certificate, intermediates, now_s)
    except UNREADABLE:
        peer = Peer(certificate_hash, "", "unreadable client certificate")
    except CredentialRefused as refused:
        peer = Peer(certificate_hash, "", refused.why)
    else:
        return _Judged(Peer(certificate_hash, spiffe_id), trust_domain, authorities, until_s)
    return _Judged(peer, trust_domain, authorities, now_s + REFUSAL_KEPT_S)


def _spiffe_id_of(certificate: x509.Certificate) -> tuple[str, str]:
    """The SPIFFE id of a certificate, and its trust domain."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        uris = []
    else:
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CredentialRefused("client certificate without exactly one SPIFFE id")
    trust_domain = trust_domain_of(uris[0])
    if trust_domain is None:
        raise CredentialRefused("client certificate with a malformed SPIFFE id")
    return uris[0], trust_domain
