"""Which trust domain vouches for which certificate.

TLS believes a certificate that any authority of any trust domain has signed. Here it is held against the authorities
of its own trust domain, as of now: else each could make the ids of all others, and a connection would outlive the
certificate it was made with.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, VerificationError

from service.identity.bundle import UNREADABLE, Authorities, Bundle
from service.identity.refusals import CredentialRefused

_AUTHORITY_POLICY = ExtensionPolicy.webpki_defaults_ca()
# The key identifier of its authority is a help for finding it, and no more; it is missing in some certificates.
_LEAF_POLICY = ExtensionPolicy.webpki_defaults_ee().may_be_present(
    x509.AuthorityKeyIdentifier, Criticality.NON_CRITICAL, None
)


class TrustDomains:
    """The trust domains of the config, and their bundles."""

    def __init__(self) -> None:
        self._bundles: Mapping[str, Bundle] = {}

    def know(self, bundles: Mapping[str, Bundle]) -> None:
        """Takes trust domains into force, by their names."""
        self._bundles = bundles

    def files(self) -> list[Path]:
        """The files of all bundles."""
        return [path for bundle in self._bundles.values() for path in bundle.paths]

    def look(self) -> None:
        """Reads the bundles again whose files have changed."""
        for bundle in self._bundles.values():
            bundle.look()

    def pem(self) -> bytes:
        """All authorities of all trust domains, as their files are now. May be called from any thread."""
        each = (bundle.look().certificates for bundle in self._bundles.values())
        return b"".join(dict.fromkeys(pem for certificates in each for pem in certificates))

    def authorities_of(self, trust_domain: str) -> Authorities | None:
        """Those of one trust domain: the same object as long as nothing changes; None if it is not known."""
        bundle = self._bundles.get(trust_domain)
        return None if bundle is None else bundle.value


def verify(
    authorities: Authorities | None, leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], now_s: float
) -> float:
    """Verifies that authorities vouch for a workload's certificate now (X509-SVID section 5).

    Args:
        authorities: Those of its trust domain; None if it is not known.
        leaf: The certificate.
        intermediates: What its holder sent with it.
        now_s: The time, Unix seconds.

    Returns:
        Until when they do, Unix seconds.

    Raises:
        CredentialRefused: They do not.
    """
    if authorities is None:
        raise CredentialRefused("client certificate of an unknown trust domain")
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    if now < leaf.not_valid_before_utc:
        raise CredentialRefused("client certificate not valid yet")
    if now > leaf.not_valid_after_utc:
        raise CredentialRefused("expired client certificate")
    builder = PolicyBuilder().store(authorities.store).time(now)
    verifier = builder.extension_policies(ca_policy=_AUTHORITY_POLICY, ee_policy=_LEAF_POLICY).build_client_verifier()
    try:
        if _is_authority(leaf):
            raise CredentialRefused("client certificate of an authority")
        chain = verifier.verify(leaf, list(intermediates)).chain
    except VerificationError as error:
        # What follows shows the certificate's subject, which says nothing here.
        reason = str(error).partition(" (encountered processing")[0]
        raise CredentialRefused(f"client certificate not of its trust domain: {reason}") from None
    except UNREADABLE:
        raise CredentialRefused("unreadable client certificate") from None
    return _ends_s(chain)


def _is_authority(leaf: x509.Certificate) -> bool:
    extensions = {type(each.value): each.value for each in leaf.extensions}
    constraints, usage = extensions.get(x509.BasicConstraints), extensions.get(x509.KeyUsage)
    return (isinstance(constraints, x509.BasicConstraints) and constraints.ca) or (
        isinstance(usage, x509.KeyUsage) and (usage.key_cert_sign or usage.crl_sign)
    )


def _ends_s(chain: Iterable[x509.Certificate]) -> float:
    return min(each.not_valid_after_utc for each in chain).timestamp()
