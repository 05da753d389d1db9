"""`gcp-sm:NAME`: a key in Google Cloud's Secret Manager, through its asynchronous client."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

import google.auth
import grpc.aio
import orjson
from google.api_core import exceptions
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from google.oauth2 import service_account
from yarl import URL

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.asking import (
    PREVIOUS_LOOKED_AT_MAX,
    READ_S_MAX,
    CredentialUnusable,
    Problem,
    asked,
    credential_of,
    silence,
    unreachable,
    value_of,
    version_of,
)
from clients.secrets.key_source import Secret
from clients.secrets.reference import Reference
from clients.secrets.source import SecretSource

_ENABLED = secretmanager_v1.SecretVersion.State.ENABLED
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_UNPROVED = "Getting metadata from plugin failed"
"""How gRPC begins to say that there were no credentials to ask with."""
_VERSIONS_MAX = 1000
"""How many enabled versions are looked through for the newest, where the newest of all is not enabled."""

Value = TypeVar("Value")


class GcpSecrets:
    """Secret Manager of one project; shared by all that is kept there.

    Args:
        project: The project's id.
        endpoint: Another address than Google's global one, such as that of a region.
        service_account_key: Where the JSON key of a service account is kept; absent = as Google's client finds
            credentials, such as a pod's workload identity.
    """

    def __init__(
        self,
        project: str,
        *,
        endpoint: URL | None = None,
        service_account_key: SecretSource | None = None,
    ) -> None:
        silence("google")
        self.project = project
        self._endpoint = endpoint
        self._service_account_key = service_account_key
        self._client: secretmanager_v1.SecretManagerServiceAsyncClient | None = None
        self._making = asyncio.Lock()

    async def read(self, reference: Reference) -> Secret:
        """Reads the newest enabled version.

        Raises:
            SecretMissing: There is none.
            SourceUnavailable: Google cannot be reached, or refuses.
        """
        return await asked(reference, self._known(self._newest(reference)), lambda error: _explained(reference, error))

    async def read_previous(self, reference: Reference) -> Secret | None:
        """Reads the newest enabled version below that one.

        Raises:
            SecretMissing: There is no version at all.
            SourceUnavailable: Google cannot be reached, or refuses.
        """
        return await asked(reference, self._known(self._before(reference)), lambda error: _explained(reference, error))

    async def close(self) -> None:
        """Lets go of its connections."""
        if self._client is not None:
            await self._client.transport.close()  # type: ignore[no-untyped-call]

    async def _known(self, answer: Awaitable[Value]) -> Value:
        try:
            return await answer
        except (exceptions.Unauthenticated, exceptions.ServiceUnavailable, GoogleAuthError):
            if self._service_account_key is not None:
                self._client = None  # the next one reads the key again; calls under way end with what they began with
            raise

    async def _newest(self, reference: Reference) -> Secret:
        try:
            return await self._version(reference, "latest")
        except exceptions.FailedPrecondition:  # the newest of all is disabled or destroyed
            return await self._version(reference, await self._newest_enabled(reference))

    async def _before(self, reference: Reference) -> Secret | None:
        # By looking, not by the list: that needs no more than what reading the current one is allowed.
        newest = int((await self._newest(reference)).version)
        for version in range(newest - 1, max(0, newest - 1 - PREVIOUS_LOOKED_AT_MAX), -1):
            try:
                return await self._version(reference, str(version))
            except (exceptions.FailedPrecondition, exceptions.NotFound, SecretMissing):
                continue
        return None

    async def _version(self, reference: Reference, version: str) -> Secret:
        client = await self._made_client()
        name = f"projects/{self.project}/secrets/{reference.name}/versions/{version}"
        answer = await client.access_secret_version(name=name, retry=None, timeout=READ_S_MAX)
        content = answer.payload.data.decode("latin-1")
        return Secret(value_of(reference, content), version_of(answer.name.rpartition("/")[2]))

    async def _newest_enabled(self, reference: Reference) -> str:
        client = await self._made_client()
        request = {"parent": f"projects/{self.project}/secrets/{reference.name}", "filter": "state:ENABLED"}
        newest = seen = 0
        async for version in await client.list_secret_versions(request=request, retry=None, timeout=READ_S_MAX):
            if version.state == _ENABLED:
                newest = max(newest, int(version.name.rpartition("/")[2]))
            seen += 1
            if seen == _VERSIONS_MAX:
                break
        if not newest:
            raise SecretMissing(f"{reference.text}: no version of the secret is enabled")
        return str(newest)

    async def _made_client(self) -> secretmanager_v1.SecretManagerServiceAsyncClient:
        async with self._making:
            if self._client is None:
                self._client = secretmanager_v1.SecretManagerServiceAsyncClient(transport=await self._transport())
            return self._client

    async def _transport(self) -> SecretManagerServiceGrpcAsyncIOTransport:
        options: dict[str, Any] = {} if self._endpoint is None else {"host": self._endpoint.authority}
        if self._endpoint is not None and self._endpoint.scheme == "http":
            return SecretManagerServiceGrpcAsyncIOTransport(
                channel=grpc.aio.insecure_channel(self._endpoint.authority), **options
            )
        credentials = await asyncio.to_thread(self._credentials)  # asks the machine's metadata server, it may be
        return SecretManagerServiceGrpcAsyncIOTransport(credentials=credentials, **options)

    def _credentials(self) -> Credentials:
        if self._service_account_key is None:
            return google.auth.default(scopes=_SCOPES)[0]
        try:
            key = orjson.loads(credential_of(self._service_account_key.read_block))
            made = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
                key if isinstance(key, dict) else {}, scopes=_SCOPES
            )
        except (ValueError, GoogleAuthError):
            raise CredentialUnusable("no JSON key of a service account") from None
        return cast("Credentials", made)


class GcpKeySource:
    """See `KeySource`."""

    kind = "gcp-sm"
    path = None

    def __init__(self, reference: Reference, secrets: GcpSecrets) -> None:
        self.reference = reference.text
        self._named = reference
        self._secrets = secrets

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        return await self._secrets.read(self._named)

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        return await self._secrets.read_previous(self._named)


def _explained(reference: Reference, error: Exception) -> Problem:
    match error:
        case exceptions.NotFound():
            return SecretMissing(f"{reference.text}: Google has no such secret, or it has no version")
        case exceptions.PermissionDenied():
            advice = "give our service account roles/secretmanager.secretAccessor on it"
            return SourceUnavailable(f"{reference.text}: we may not read it: {advice}")
        case exceptions.Unauthenticated() | GoogleAuthError():
            advice = "no Google credentials, or none that it takes: see secrets.gcp"
            return SourceUnavailable(f"{reference.text}: {advice}")
        case exceptions.ServiceUnavailable() if error.message.startswith(_UNPROVED):
            advice = "Google gives us no token: see secrets.gcp, and whether its token_uri can be reached"
            return SourceUnavailable(f"{reference.text}: {advice}")
        case exceptions.DeadlineExceeded():
            return SourceUnavailable(f"{reference.text}: no answer in time")
        case _:
            return unreachable(reference, error)
