"""Innermost: turns the credential into a Principal and holds the RPC's scope rule, before the body is received."""

import time

from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.errors import CredentialRejected, ScopeMissing
from service.identity.access_keys import AccessKeyRefused
from service.identity.credential import credential_of
from service.identity.scopes import SCOPES_OF_RPC
from service.interceptors.chain import Proceed


class AuthInterceptor:
    """Refuses whoever is not known, or may not call this RPC."""

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`.

        Raises:
            CohortError: CredentialMissing, CredentialAmbiguous, CredentialRejected or ScopeMissing.
        """
        try:
            credential = credential_of(call.metadata)
            call.principal = call.snapshot.access_keys.principal_of(credential.value, time.time())
        except AccessKeyRefused as refused:
            call.credential_problem = str(refused)
            raise CredentialRejected(call.credential_problem) from None
        except CredentialRejected as rejected:
            call.credential_problem = rejected.why
            raise
        scopes = SCOPES_OF_RPC[call.rpc]
        if call.principal.scopes.isdisjoint(scopes):
            raise ScopeMissing(call.rpc, scopes[0])
        return await proceed(call, context)
