"""What stands around one servicer in a test: a check of credentials by name, and the RPCs that are not asked for."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from service.identity.credential import Credential
from service.identity.principal import Principal
from service.interceptors.auth import AuthInterceptor


def auth_by(principal_of: Callable[[str], Principal]) -> AuthInterceptor:
    """Identifies callers by what *principal_of* makes of their credential."""

    class ByName:
        async def principal_of(self, credential: Credential, _peer: object, _now_s: float) -> Principal:
            return principal_of(credential.value)

    authenticator: Any = ByName()
    return AuthInterceptor(authenticator, lambda *_: None)


def with_the_rest(service: ServiceDescriptor, *servicers: object) -> tuple[object, ...]:
    """The servicers, and one more for every RPC of *service* that they lack, which fails if it is asked for."""

    async def absent(*_: object) -> None:
        raise NotImplementedError

    names = [method.name for method in service.methods]
    lacking = [name for name in names if not any(hasattr(servicer, name) for servicer in servicers)]
    return *servicers, type("Rest", (), {name: staticmethod(absent) for name in lacking})()
