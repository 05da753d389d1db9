"""SPIFFE ids: which certificate is whom. An id is compared whole, nothing in it is a pattern."""

from collections.abc import Mapping

from service.identity.peer import Peer
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused


class SpiffeIds:
    """Knows the principals of SPIFFE ids; see `Certificates`."""

    def __init__(self) -> None:
        self._principals: Mapping[str, Principal] = {}

    def know(self, principals: Mapping[str, Principal]) -> None:
        """Takes a list of ids into force."""
        self._principals = principals

    def principal_of(self, peer: Peer) -> Principal:
        """See `Certificates`."""
        if not peer.spiffe_id:
            raise CredentialRefused(peer.problem)
        principal = self._principals.get(peer.spiffe_id)
        if principal is None:
            raise CredentialRefused(f"unknown SPIFFE id {peer.spiffe_id}")
        return principal
