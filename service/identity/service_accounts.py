"""JWTs of service accounts: signed by the caller with a key of its own, of which the directory has the public half."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from service.identity.directory import ServiceAccountRecord
from service.identity.refusals import CredentialRefused
from service.identity.tokens import Peeked, Verified

ID_PREFIX = "sa_"


class Expected(NamedTuple):
    """What the JWTs of service accounts have to say."""

    audience: str
    organisation: str | None
    """None: there are no service accounts here."""


class ServiceAccounts:
    """Verifies the JWTs of service accounts; see `TokenVerifier`.

    Args:
        accounts: The accounts in force, by id.
    """

    def __init__(self, accounts: Callable[[], Mapping[str, ServiceAccountRecord]]) -> None:
        self._accounts = accounts
        self.expected = Expected("", None)

    async def verify(self, token: str, peeked: Peeked | None, now_s: float) -> Verified:
        """See `TokenVerifier`."""
        raise CredentialRefused(f"{token}{peeked}{now_s}")
