"""A credential, be it an access key or a bearer such as a JWT → the metadata of every call.

Over TLS, call credentials are the best place for it: gRPC never sends them in the clear. On a plaintext
channel, as to a service on the same machine, gRPC refuses them; there interceptors carry the credential.

It is a string, or a function that returns the current one and is asked before each call, so that it can be
replaced or renewed while the channel lives. On an asyncio channel that function must not block.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

import grpc
import grpc.aio

AccessKey: TypeAlias = str | Callable[[], str]
Bearer: TypeAlias = str | Callable[[], str]

_CREDENTIALS = frozenset({"x-api-key", "authorization"})
_Metadatum: TypeAlias = tuple[str, str | bytes]
_Source: TypeAlias = Callable[[], tuple[str, str]]
_Request = TypeVar("_Request")
_Call = TypeVar("_Call")


def with_access_key(channel: grpc.Channel, access_key: AccessKey) -> grpc.Channel:
    """Returns *channel* with the access key in the metadata of each call that brings no credential itself.

    Raises:
        ValueError: The access key cannot stand in metadata. Raised by the call if a function returned it.
    """
    return grpc.intercept_channel(channel, _Interceptor(_access_keys(access_key)))


def with_bearer(channel: grpc.Channel, bearer: Bearer) -> grpc.Channel:
    """Returns *channel* with a bearer in the metadata of each call that brings no credential itself.

    Raises:
        ValueError: The bearer cannot stand in metadata. Raised by the call if a function returned it.
    """
    return grpc.intercept_channel(channel, _Interceptor(_bearers(bearer)))


def access_key_interceptors(access_key: AccessKey) -> list[grpc.aio.ClientInterceptor]:
    """Returns the interceptors of an asyncio channel that do what `with_access_key` does for a blocking one.

    Use::

        channel = grpc.aio.insecure_channel("127.0.0.1:50051", interceptors=access_key_interceptors(access_key))

    Raises:
        ValueError: The access key cannot stand in metadata. Raised by the call if a function returned it.
    """
    return _aio_interceptors(_access_keys(access_key))


def bearer_interceptors(bearer: Bearer) -> list[grpc.aio.ClientInterceptor]:
    """Returns the interceptors of an asyncio channel that do what `with_bearer` does for a blocking one.

    Raises:
        ValueError: The bearer cannot stand in metadata. Raised by the call if a function returned it.
    """
    return _aio_interceptors(_bearers(bearer))


def access_key_call_credentials(access_key: AccessKey) -> grpc.CallCredentials:
    """Returns call credentials with the access key, for TLS channels of either kind.

    Use::

        tls = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(), access_key_call_credentials(access_key)
        )
        channel = grpc.aio.secure_channel("cohort.example:443", tls)

    Raises:
        ValueError: The access key cannot stand in metadata. If a function returned it, the call fails.
    """
    return grpc.metadata_call_credentials(_Plugin(_access_keys(access_key)), name="cohort access key")


def bearer_call_credentials(bearer: Bearer) -> grpc.CallCredentials:
    """Returns call credentials with a bearer, for TLS channels of either kind; see `access_key_call_credentials`.

    Raises:
        ValueError: The bearer cannot stand in metadata. If a function returned it, the call fails.
    """
    return grpc.metadata_call_credentials(_Plugin(_bearers(bearer)), name="cohort bearer")


class _Interceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, current: _Source) -> None:
        self._current = current

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, _Request], _Call],
        client_call_details: grpc.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return continuation(_Details(client_call_details, self._current), request)

    intercept_unary_stream = intercept_unary_unary


class _AioUnaryInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, current: _Source) -> None:
        self._current = current

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_aio_details(client_call_details, self._current), request)


class _AioStreamInterceptor(grpc.aio.UnaryStreamClientInterceptor):
    # A class of its own: an asyncio channel takes each interceptor for one kind of call.
    def __init__(self, current: _Source) -> None:
        self._current = current

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_aio_details(client_call_details, self._current), request)


class _Plugin(grpc.AuthMetadataPlugin):
    def __init__(self, current: _Source) -> None:
        self._current = current

    def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            metadata = (self._current(),)
        except Exception as error:
            callback((), error)
        else:
            callback(metadata, None)


class _Details(grpc.ClientCallDetails):
    """The details of a call with the access key added; grpc offers no way to change its own."""

    def __init__(self, details: grpc.ClientCallDetails, current: _Source) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = _with_credential(details.metadata or (), current)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def _aio_details(details: grpc.aio.ClientCallDetails, current: _Source) -> grpc.aio.ClientCallDetails:
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout,
        grpc.aio.Metadata(*_with_credential(details.metadata or (), current)),
        details.credentials,
        details.wait_for_ready,
    )


def _with_credential(metadata: Iterable[_Metadatum], current: _Source) -> tuple[_Metadatum, ...]:
    # The service refuses two credentials, so the one a call brings itself stands alone.
    items = tuple(metadata)
    if any(name.lower() in _CREDENTIALS for name, _ in items):
        return items
    return (*items, current())


def _aio_interceptors(current: _Source) -> list[grpc.aio.ClientInterceptor]:
    return [_AioUnaryInterceptor(current), _AioStreamInterceptor(current)]


def _access_keys(access_key: AccessKey) -> _Source:
    return _source(access_key, "an access key", "x-api-key", "")


def _bearers(bearer: Bearer) -> _Source:
    return _source(bearer, "a bearer", "authorization", "Bearer ")


def _source(credential: str | Callable[[], str], kind: str, header: str, scheme: str) -> _Source:
    if callable(credential):
        return lambda: (header, scheme + _checked(credential(), kind))
    metadatum = (header, scheme + _checked(credential, kind))
    return lambda: metadatum


def _checked(credential: str, kind: str) -> str:
    # One read from a file often ends in a newline, which grpc would refuse in words that do not tell why.
    if not credential or not credential.isascii() or not credential.isprintable() or " " in credential:
        raise ValueError(f"{kind} is one word of ASCII, without spaces or a newline at its end")
    return credential
