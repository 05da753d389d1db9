"""The ports that callers reach: one for all, and one where each has to show a client certificate.

gRPC for Python asks a port's callers for a certificate either never or always, hence two.
"""

from collections.abc import Callable
from typing import NamedTuple

import grpc.aio

from service.config import ConfigError, LoadedConfig
from service.identity.trust_domains import TrustDomains
from service.tls import PortCredentials, certificate_of


class Ports(NamedTuple):
    """The ports that were opened."""

    port: int
    mtls_port: int | None


def bind(server: grpc.aio.Server, loaded: LoadedConfig, trust_domains: TrustDomains) -> Ports:
    """Opens the ports of `server.listen` and `server.mtls`.

    Raises:
        ConfigError: One cannot be opened, or the server's certificate cannot be used.
    """
    tls, mtls = loaded.config.server.tls, loaded.config.server.mtls
    listen = loaded.config.server.listen
    if tls is None:
        return Ports(_bound("server.listen", listen, lambda: server.add_insecure_port(listen)), None)
    certificate = certificate_of(loaded.path(tls.certificate_file), loaded.path(tls.private_key_file))
    credentials = PortCredentials(certificate).credentials()
    port = _bound("server.listen", listen, lambda: server.add_secure_port(listen, credentials))
    if mtls is None:
        return Ports(port, None)
    mutual = PortCredentials(certificate, trust_domains.pem).credentials()
    return Ports(port, _bound("server.mtls.listen", mtls.listen, lambda: server.add_secure_port(mtls.listen, mutual)))


def _bound(setting: str, listen: str, bind: Callable[[], int]) -> int:
    try:
        return bind()
    except RuntimeError:
        raise ConfigError([f"{setting}: {listen} cannot be bound"]) from None
