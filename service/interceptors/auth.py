"""Innermost: turns the credential into a Principal and holds the RPC's scope rule, before the body is received."""

import time
from collections.abc import Callable

from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.errors import CredentialRejected, CredentialUnverifiable, ScopeMissing
from service.identity.authenticator import Authenticator
from service.identity.credential import credential_of
from service.identity.peer import Peer
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused, CredentialUndecided
from service.identity.scopes import SCOPES_OF_RPC
from service.interceptors.chain import Proceed


class AuthInterceptor:
    """Refuses whoever is not known, or may not call this RPC.

    Args:
        authenticator: Identifies callers.
        peer_of: Knows the client certificate of a call's connection, as of a time in Unix seconds.
    """

    def __init__(self, authenticator: Authenticator, peer_of: Callable[[Context, float], Peer | None]) -> None:
        self._authenticator = authenticator
        self._peer_of = peer_of

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`.

        Raises:
            CohortError: CredentialMissing, CredentialAmbiguous, CredentialRejected, CredentialUnverifiable or
                ScopeMissing.
        """
        try:
            call.principal = principal = await self._principal_of(call, context)
        except CredentialUndecided as undecided:
            call.credential_problem = undecided.why
            raise CredentialUnverifiable(undecided.retry_after_s) from None
        except CredentialRefused as refused:
            call.credential_problem = refused.why
            raise CredentialRejected from None
        scopes = SCOPES_OF_RPC[call.rpc]
        if principal.scopes.isdisjoint(scopes):
            raise ScopeMissing(call.rpc, scopes[0])
        return await proceed(call, context)

    async def _principal_of(self, call: Call, context: Context) -> Principal:
        now_s = time.time()
        peer = self._peer_of(context, now_s)
        if peer is not None:
            call.certificate = peer.spiffe_id
        credential = credential_of(call.metadata, call.peer)
        principal = await self._authenticator.principal_of(credential, peer, now_s)
        if principal.team not in call.snapshot.policies:
            raise CredentialRefused(f"credential of {principal.team}, which is no team of the config")
        return principal
