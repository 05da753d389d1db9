"""A certificate authority that makes what trustme cannot: URIs, odd validities, odd usages, chains."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOUR_S = 3600.0
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


def uris(*values: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(value) for value in values]


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.intermediates)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    @property
    def ends_s(self) -> float:
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def begins_s(self) -> float:
        return self.certificate.not_valid_before_utc.timestamp()


class Authority:
    """Signs certificates; is itself signed by another one, or by itself."""

    def __init__(self, name: str, parent: "Authority | None" = None, *, hours: float = 48) -> None:
        self._issuer = parent
        self._name = _named(name)
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.issued = _issue(
            self._name, parent or self, [], hours=hours, constraints=ca, key_usage=usage("key_cert_sign", "crl_sign")
        )

    @property
    def pem(self) -> bytes:
        return self.issued.pem

    def issue(
        self,
        names: Sequence[x509.GeneralName],
        *,
        from_hours: float = -1,
        hours: float = 24,
        ca: bool = False,
        key_usage: x509.KeyUsage | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH),
    ) -> Issued:
        """Issues a certificate.

        Args:
            names: Its subject alternative names.
            from_hours: From when it is valid, in hours from now.
            hours: Until when.
            ca: Whether it says to be an authority's.
            key_usage: What its key is for.
            purposes: What it is for.
        """
        return _issue(
            _named("workload"),
            self,
            names,
            from_hours=from_hours,
            hours=hours,
            constraints=x509.BasicConstraints(ca=ca, path_length=None),
            key_usage=key_usage or usage("digital_signature"),
            purposes=purposes,
        )

    def workload(self, spiffe_id: str, *, from_hours: float = -1, hours: float = 24) -> Issued:
        """Issues an ordinary X509-SVID."""
        return self.issue(uris(spiffe_id), from_hours=from_hours, hours=hours)

    def signer(self) -> tuple[x509.Name, ec.EllipticCurvePrivateKey] | None:
        """With what it signs; None as long as it has no certificate itself."""
        issued = getattr(self, "issued", None)
        return (self._name, issued.key) if isinstance(issued, Issued) else None

    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates between what it signs and the root."""
        if self._issuer is None or self.signer() is None:
            return ()
        return (self.issued.certificate, *self._issuer.chain())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _issue(
    subject: x509.Name,
    authority: Authority,
    names: Sequence[x509.GeneralName],
    *,
    constraints: x509.BasicConstraints,
    key_usage: x509.KeyUsage,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    from_hours: float = -1,
    hours: float,
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, signing_key = authority.signer() or (subject, key)
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(hours=from_hours))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .add_extension(constraints, critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Issued(builder.sign(signing_key, hashes.SHA256()), key, authority.chain())
