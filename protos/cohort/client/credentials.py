"""An access key → the metadata of every call.

Over TLS, call credentials are the best place for it: gRPC never sends them in the clear. On a plaintext
channel, as to a service on the same machine, gRPC refuses them; there interceptors carry the key.

An access key is a string, or a function that returns the current one and is asked before each call, so that a
key can be replaced while the channel lives. It must not block.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

import grpc
import grpc.aio

AccessKey: TypeAlias = str | Callable[[], str]

_HEADER = "x-api-key"
_CREDENTIALS = frozenset({_HEADER, "authorization"})
_Metadatum: TypeAlias = tuple[str, str | bytes]
_Request = TypeVar("_Request")
_Call = TypeVar("_Call")


def with_access_key(channel: grpc.Channel, access_key: AccessKey) -> grpc.Channel:
    """Returns *channel* with the access key in the metadata of each call that brings no credential itself.

    Raises:
        ValueError: The access key cannot stand in metadata. Raised by the call if a function returned it.
    """
    return grpc.intercept_channel(channel, _Interceptor(_source(access_key)))


def access_key_interceptors(access_key: AccessKey) -> list[grpc.aio.ClientInterceptor]:
    """Returns the interceptors of an asyncio channel that do what `with_access_key` does for a blocking one.

    Use::

        channel = grpc.aio.insecure_channel("127.0.0.1:50051", interceptors=access_key_interceptors(access_key))

    Raises:
        ValueError: The access key cannot stand in metadata. Raised by the call if a function returned it.
    """
    source = _source(access_key)
    return [_AioUnaryInterceptor(source), _AioStreamInterceptor(source)]


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
    return grpc.metadata_call_credentials(_Plugin(_source(access_key)), name="cohort access key")


class _Interceptor(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, current: Callable[[], str]) -> None:
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
    def __init__(self, current: Callable[[], str]) -> None:
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
    def __init__(self, current: Callable[[], str]) -> None:
        self._current = current

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_aio_details(client_call_details, self._current), request)


class _Plugin(grpc.AuthMetadataPlugin):
    def __init__(self, current: Callable[[], str]) -> None:
        self._current = current

    def __call__(self, _context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        try:
            metadata = ((_HEADER, self._current()),)
        except Exception as error:
            callback((), error)
        else:
            callback(metadata, None)


class _Details(grpc.ClientCallDetails):
    """The details of a call with the access key added; grpc offers no way to change its own."""

    def __init__(self, details: grpc.ClientCallDetails, current: Callable[[], str]) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = _with_credential(details.metadata or (), current)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def _aio_details(details: grpc.aio.ClientCallDetails, current: Callable[[], str]) -> grpc.aio.ClientCallDetails:
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout,
        grpc.aio.Metadata(*_with_credential(details.metadata or (), current)),
        details.credentials,
        details.wait_for_ready,
    )


def _with_credential(metadata: Iterable[_Metadatum], current: Callable[[], str]) -> tuple[_Metadatum, ...]:
    # The service refuses two credentials, so the one a call brings itself stands alone.
    items = tuple(metadata)
    if any(name.lower() in _CREDENTIALS for name, _ in items):
        return items
    return (*items, (_HEADER, current()))


def _source(access_key: AccessKey) -> Callable[[], str]:
    if callable(access_key):
        return lambda: _checked(access_key())
    checked = _checked(access_key)
    return lambda: checked


def _checked(access_key: str) -> str:
    # A key read from a file often ends in a newline, which grpc would refuse in words that do not tell why.
    if not access_key or not access_key.isascii() or not access_key.isprintable() or " " in access_key:
        raise ValueError("an access key is one word of ASCII, without spaces or a newline at its end")
    return access_key
