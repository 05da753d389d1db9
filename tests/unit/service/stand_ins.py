"""What stands around one servicer in a test: a check of credentials by name, and the RPCs that are not asked for."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from service.books.books import Books
from service.identity.credential import Credential
from service.identity.principal import Principal
from service.interceptors.auth import AuthInterceptor
from service.interceptors.error import ErrorInterceptor
from service.limits.limit import NO_LIMITS
from service.limits.limits import Limits


def auth_by(principal_of: Callable[[str], Principal]) -> AuthInterceptor:
    """Identifies callers by what *principal_of* makes of their credential."""

    class ByName:
        async def principal_of(self, credential: Credential, _peer: object, _now_s: float) -> Principal:
            return principal_of(credential.value)

    authenticator: Any = ByName()
    return AuthInterceptor(authenticator, lambda *_: None)


def errors() -> ErrorInterceptor:
    """Turns errors into statuses, where no team has limits."""
    return ErrorInterceptor(lambda _: None)


def unlimited(books: Books) -> Limits:
    """Limits that nobody has."""
    return Limits(books, lambda: 0, lambda _: NO_LIMITS, lambda: None)


def with_the_rest(service: ServiceDescriptor, *servicers: object) -> tuple[object, ...]:
    """The servicers, and one more for every RPC of *service* that they lack, which fails if it is asked for."""

    async def absent(*_: object) -> None:
        raise NotImplementedError

    names = [method.name for method in service.methods]
    lacking = [name for name in names if not any(hasattr(servicer, name) for servicer in servicers)]
    return *servicers, type("Rest", (), {name: staticmethod(absent) for name in lacking})()
