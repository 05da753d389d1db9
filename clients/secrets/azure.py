"""`azure-kv:NAME`: a key in an Azure Key Vault, through its asynchronous client.

Versions there have names without an order; they are ordered by when they were made.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import AsyncHttpTransport
from azure.identity.aio import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
from azure.keyvault.secrets.aio import SecretClient

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.asking import (
    CONNECT_S_MAX,
    PREVIOUS_LOOKED_AT_MAX,
    READ_S_MAX,
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

_VERSIONS_MAX = 1000
"""How many versions are looked through; Azure lists them in no order."""
_EPOCH = datetime.fromtimestamp(0, UTC)

Value = TypeVar("Value")
Options = dict[str, Any]
Identity = Callable[[Options], AsyncTokenCredential]
"""Makes what proves who we are, with the options of every client of Azure's."""


def workload_identity(client_id: str | None) -> Identity:
    """The pod's service account, as its webhook has set it up."""
    return lambda options: WorkloadIdentityCredential(client_id=client_id, **options)


def managed_identity(client_id: str | None) -> Identity:
    """The machine's identity; of several, the one that is named."""
    return lambda options: ManagedIdentityCredential(client_id=client_id, **options)


def client_secret(tenant_id: str, client_id: str, secret: SecretSource, authority: str | None) -> Identity:
    """An application with a secret."""
    place = {} if authority is None else {"authority": authority}
    return lambda options: ClientSecretCredential(tenant_id, client_id, credential_of(secret.read), **place, **options)


class AzureVault:
    """One Key Vault, and our identity there; shared by all that is kept there.

    Args:
        address: `https://NAME.vault.azure.net`.
        identity: Who we are.
        transport: Makes another way to it than Azure's own client; absent = as that has it.
    """

    def __init__(
        self, address: str, identity: Identity, transport: Callable[[], AsyncHttpTransport[Any, Any]] | None = None
    ) -> None:
        silence("azure", "msal")
        self._address = address
        self._identity = identity
        self._transport = transport
        self._client: SecretClient | None = None
        self._credential: AsyncTokenCredential | None = None

    async def read(self, reference: Reference) -> Secret:
        """Reads the newest enabled version.

        Raises:
            SecretMissing: There is none.
            SourceUnavailable: Azure cannot be reached, or refuses.
        """
        return await asked(reference, self._known(self._newest(reference)), lambda error: _explained(reference, error))

    async def read_previous(self, reference: Reference) -> Secret | None:
        """Reads the newest enabled version before that one.

        Raises:
            SecretMissing: There is no version at all.
            SourceUnavailable: Azure cannot be reached, or refuses.
        """
        return await asked(reference, self._known(self._before(reference)), lambda error: _explained(reference, error))

    async def close(self) -> None:
        """Lets go of its connections."""
        client, credential, self._client, self._credential = self._client, self._credential, None, None
        if client is not None:
            await client.close()
        if credential is not None:
            await credential.close()

    async def _known(self, answer: Awaitable[Value]) -> Value:
        try:
            return await answer
        except ClientAuthenticationError:
            await self.close()  # the next one reads what we prove ourselves with again
            raise

    async def _newest(self, reference: Reference) -> Secret:
        return await self._version(reference, (await self._enabled(reference))[0])

    async def _before(self, reference: Reference) -> Secret | None:
        for version in (await self._enabled(reference))[1 : 1 + PREVIOUS_LOOKED_AT_MAX]:
            try:
                return await self._version(reference, version)
            except (ResourceNotFoundError, SecretMissing):
                continue
        return None

    async def _version(self, reference: Reference, version: str) -> Secret:
        secret = await self._made_client().get_secret(reference.name, version)
        return Secret(value_of(reference, secret.value or ""), version_of(version))

    async def _enabled(self, reference: Reference) -> list[str]:
        """The enabled versions, the newest first; at least one."""
        made_at: list[tuple[datetime, str]] = []
        seen = 0
        async for version in self._made_client().list_properties_of_secret_versions(reference.name):
            if version.enabled and version.version:
                made_at.append((version.created_on or _EPOCH, version.version))
            seen += 1
            if seen == _VERSIONS_MAX:
                break
        if not made_at:
            raise SecretMissing(f"{reference.text}: there is no such secret, or no version of it is enabled")
        return [version for _, version in sorted(made_at, reverse=True)]

    def _made_client(self) -> SecretClient:
        if self._client is None:
            options: Options = {
                "connection_timeout": CONNECT_S_MAX,
                "read_timeout": READ_S_MAX,
                "retry_total": 0,
            }
            self._credential = self._identity(self._with_transport(options))
            self._client = SecretClient(self._address, self._credential, **self._with_transport(options))
        return self._client

    def _with_transport(self, options: Options) -> Options:
        return options if self._transport is None else {**options, "transport": self._transport()}


class AzureKeySource:
    """See `KeySource`."""

    kind = "azure-kv"
    path = None

    def __init__(self, reference: Reference, vault: AzureVault) -> None:
        self.reference = reference.text
        self._named = reference
        self._vault = vault

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        return await self._vault.read(self._named)

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        return await self._vault.read_previous(self._named)


def _explained(reference: Reference, error: Exception) -> Problem:
    match error:
        case ClientAuthenticationError() | ValueError():  # the latter where the pod was given none
            return SourceUnavailable(f"{reference.text}: our identity is not taken: see secrets.azure")
        case ResourceNotFoundError():
            return SecretMissing(f"{reference.text}: Azure has no such secret, or it is deleted")
        case HttpResponseError(status_code=403):
            advice = "give our identity the role Key Vault Secrets User, and let the network through"
            return SourceUnavailable(f"{reference.text}: we may not read it: {advice}")
        case HttpResponseError(status_code=int(status)):
            return SourceUnavailable(f"{reference.text}: Azure refuses ({status})")
        case _:
            return unreachable(reference, error)
