"""The server's credentials from files, read again when they change, without a restart."""

import functools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, cast

import grpc

from service.config import ConfigError
from service.followed import FileUnusable, Followed, problem_of

KeyPair: TypeAlias = tuple[bytes, bytes]
"""A private key and the chain of its certificate, PEM."""

Certificate: TypeAlias = Followed[KeyPair]


def certificate_of(certificate_file: Path, private_key_file: Path) -> Certificate:
    """Reads a certificate and its private key, and follows their files.

    Args:
        certificate_file: PEM, the server's own certificate first.
        private_key_file: PEM.

    Raises:
        ConfigError: The files cannot be read or are no key pair.
    """
    files = certificate_file, private_key_file
    try:
        return Followed("certificate", files, functools.partial(_read, *files))
    except FileUnusable as error:
        raise ConfigError([f"server.tls: {files[0]} and {files[1]} are {error.problem}"]) from None
    except OSError as error:
        raise ConfigError([f"server.tls: {error.filename}: {problem_of(error)}"]) from None


class PortCredentials:
    """The credentials of one port: each new handshake uses what the files hold then.

    Args:
        certificate: The server's.
        authorities: Those, PEM, of which one has to have signed the caller's certificate; None if a caller needs no
            certificate. Called from gRPC's threads.
    """

    def __init__(self, certificate: Certificate, authorities: Callable[[], bytes] | None = None) -> None:
        self._certificate = certificate
        self._authorities = authorities
        self._given: tuple[KeyPair, bytes | None] | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC."""
        # The type stub has no None, the documentation does: "or None to keep the current configuration".
        fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", self.renewed)
        first = fetcher()
        return grpc.dynamic_ssl_server_credentials(
            first, fetcher, require_client_authentication=self._authorities is not None
        )

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What handshakes use from now on; None for "as before". gRPC's own threads ask at every handshake."""
        now = self._certificate.look(), None if self._authorities is None else self._authorities()
        if now == self._given:
            return None
        self._given = now
        pair, authorities = now
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authorities)


def _read(certificate_file: Path, private_key_file: Path) -> KeyPair:
    certificate, key = certificate_file.read_bytes(), private_key_file.read_bytes()
    # OpenSSL says whether the two belong together; gRPC would only fail to bind, or drop handshakes.
    try:
        # Without a password OpenSSL would ask the terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, private_key_file, password="")
    except ssl.SSLError:
        raise FileUnusable("no certificate and its key") from None
    return key, certificate
