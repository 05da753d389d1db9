"""The authorities of one SPIFFE trust domain, from a PEM file."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import Store

from service.followed import FileUnusable, Followed

UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
"""What reading a certificate may raise, even one that TLS has taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Authorities:
    """Who may sign certificates of a trust domain. Each read makes another object."""

    certificates: tuple[bytes, ...]
    """PEM, one each."""
    store: Store


Bundle: TypeAlias = Followed[Authorities]


def bundle_of(file: Path) -> Bundle:
    """Reads a bundle and follows its file.

    Raises:
        OSError: The file cannot be read.
        FileUnusable: It holds something else than certificates of authorities, or none.
    """
    return Followed("trust bundle", (file,), functools.partial(_read, file))


def _read(file: Path) -> Authorities:
    text = file.read_bytes()
    try:
        certificates = x509.load_pem_x509_certificates(text)
        strangers = [number for number, each in enumerate(certificates, 1) if not _signs(each)]
    except UNREADABLE:
        raise FileUnusable("holds no certificates, or broken ones") from None
    # One that is cut off, as while the file is being written, is passed over in silence.
    if text.count(b"-----BEGIN ") != len(certificates):
        raise FileUnusable("holds something else than whole certificates")
    # A certificate that signs nothing would be believed by its mere presence.
    if strangers:
        raise FileUnusable(f"certificate {strangers[0]} is not that of an authority (CA, keyCertSign)")
    # Written anew, so that TLS reads the very same certificates.
    pems = tuple(each.public_bytes(Encoding.PEM) for each in certificates)
    return Authorities(pems, Store(certificates))


def _signs(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and usage.key_cert_sign
