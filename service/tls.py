"""The server's credentials from files, read again when they change, without a restart."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc
import structlog

from service.config import ConfigError
from service.watch import stamp_of

_log = structlog.get_logger()


class Certificate:
    """A certificate and its private key.

    Args:
        certificate_file: PEM, the server's own certificate first.
        private_key_file: PEM.
    """

    def __init__(self, certificate_file: Path, private_key_file: Path) -> None:
        self._files = (certificate_file, private_key_file)
        self._stamp = stamp_of(self._files)

    def credentials(self) -> grpc.ServerCredentials:
        """Credentials that follow the files: each new handshake uses what they hold then.

        Raises:
            ConfigError: The files cannot be read or are no key pair.
        """
        try:
            first = self._read()
        except ssl.SSLError:
            raise ConfigError(
                [f"server.tls: {self._files[0]} and {self._files[1]} are no certificate and its key"]
            ) from None
        except OSError as error:
            raise ConfigError([f"server.tls: {error.filename}: {error.strerror}"]) from None
        # The type stub has no None, the documentation does: "or None to keep the current configuration".
        fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._renewed)
        return grpc.dynamic_ssl_server_credentials(first, fetcher)

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        # Called by gRPC's own thread at every handshake; None means "as before".
        stamp = stamp_of(self._files)
        if stamp == self._stamp:
            return None
        try:
            configuration = self._read()
        except OSError as error:  # ssl.SSLError is one
            _log.error("certificate not readable", file=str(self._files[0]), problem=error.strerror or "no key pair")
            return None
        self._stamp = stamp
        _log.info("certificate read again", file=str(self._files[0]))
        return configuration

    def _read(self) -> grpc.ServerCertificateConfiguration:
        # OpenSSL says whether the two belong together; gRPC would only fail to bind, or drop handshakes.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
        chain, key = (path.read_bytes() for path in self._files)
        return grpc.ssl_server_certificate_configuration([(key, chain)])
