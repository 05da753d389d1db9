"""Where each team's Cohere key is read from, as the config says; the stores are connected to once, for all teams."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from yarl import URL

from clients.secrets.key_source import KeySource
from clients.secrets.pair import PairedSource
from clients.secrets.reference import Reference, reference_of
from service.config import AwsConfig, AzureConfig, ConfigError, GcpConfig, LoadedConfig, VaultConfig

if TYPE_CHECKING:
    from clients.secrets.azure import Identity
    from clients.secrets.vault_login import Login

Held = Callable[[str], KeySource]
"""Makes the source of a team whose key Cohort keeps itself."""
Made = Callable[[Reference], KeySource]

_EXTRAS = {"vault": "vault", "aws-sm": "aws", "gcp-sm": "gcp", "azure-kv": "azure"}


class KeySources:
    """Makes the sources, and holds what connects them; `close` lets go of it.

    Args:
        loaded: Whose [secrets] say how the stores are reached, for as long as the process lives.
        held: Makes the sources of `held:`; absent = teams with such are left out.
    """

    def __init__(self, loaded: LoadedConfig, held: Held | None = None) -> None:
        self._stores = loaded
        self._held = held
        self._made: dict[str, Made] = {}
        self._closing = AsyncExitStack()

    def of(self, loaded: LoadedConfig) -> dict[str, KeySource]:
        """Makes every team's source.

        Args:
            loaded: Whose teams are meant; a reload brings others, but no other stores.

        Raises:
            ConfigError: With every reference whose client is not installed or cannot be made.
        """
        sources: dict[str, KeySource] = {}
        problems: list[str] = []
        for team, config in loaded.config.teams.items():
            reference = reference_of(config.cohere_key)
            if reference.kind == "held" and self._held is None:
                continue
            try:
                source = self._source(loaded, team, reference)
            except ImportError:
                extra = _EXTRAS[reference.kind]
                problems.append(f"teams.{team}.cohere_key: {reference.kind}: install cohort[{extra}]")
                continue
            except (ValueError, OSError) as error:
                # Of the client's words only their kind: they may quote what it was given.
                kind = type(error).__name__
                problems.append(f"secrets.{_EXTRAS[reference.kind]}: no client can be made of it ({kind})")
                continue
            if config.cohere_key_previous is not None:
                previous = loaded.local_key_source(reference_of(config.cohere_key_previous))
                source = PairedSource(source, previous)
            sources[team] = source
        if problems:
            raise ConfigError(list(dict.fromkeys(problems)))
        return sources

    async def close(self) -> None:
        """Lets go of all connections; the sources are over."""
        await self._closing.aclose()

    def _source(self, loaded: LoadedConfig, team: str, reference: Reference) -> KeySource:
        if reference.kind in {"env", "file"}:
            return loaded.local_key_source(reference)
        if reference.kind == "held" and self._held is not None:
            return self._held(team)
        made = self._made.get(reference.kind)
        if made is None:
            made = self._made[reference.kind] = self._maker(reference.kind)
        return made(reference)

    def _maker(self, kind: str) -> Made:
        secrets = self._stores.config.secrets
        match kind:
            case "vault" if secrets.vault is not None:
                return self._vault(secrets.vault)
            case "aws-sm" if secrets.aws is not None:
                return self._aws(secrets.aws)
            case "gcp-sm" if secrets.gcp is not None:
                return self._gcp(secrets.gcp)
            case "azure-kv" if secrets.azure is not None:
                return self._azure(secrets.azure)
        raise ConfigError([f"secrets.{_EXTRAS[kind]}: a change needs a restart"])

    def _vault(self, config: VaultConfig) -> Made:
        from clients.secrets.vault import Vault, VaultKeySource  # noqa: PLC0415 (an optional extra)

        ca_file = None if config.ca_file is None else self._stores.path(config.ca_file)
        login = self._vault_login(config)
        vault = Vault(config.address, login, mount=config.mount, namespace=config.namespace, ca_file=ca_file)
        self._closing.push_async_callback(vault.close)
        return lambda reference: VaultKeySource(reference, vault)

    def _vault_login(self, config: VaultConfig) -> "Login":
        from clients.secrets.vault_login import (  # noqa: PLC0415 (an optional extra)
            AppRoleLogin,
            KubernetesLogin,
            TokenLogin,
        )

        mount = config.auth_mount or config.auth
        match config:
            case VaultConfig(auth="approle", role_id=str(role_id), secret_id=str(secret_id)):
                return AppRoleLogin(role_id, self._stores.secret(secret_id), mount)
            case VaultConfig(auth="kubernetes", role=str(role)):
                return KubernetesLogin(role, self._stores.path(config.jwt_file), mount)
            case VaultConfig(auth="token", token=str(token)):
                return TokenLogin(self._stores.secret(token))
        raise ConfigError([f'secrets.vault: auth = "{config.auth}" lacks what it needs'])

    def _aws(self, config: AwsConfig) -> Made:
        from clients.secrets.aws import AwsKeySource, AwsSecrets  # noqa: PLC0415 (an optional extra)

        credentials = None
        if config.access_key_id is not None and config.secret_access_key is not None:
            credentials = (self._stores.secret(config.access_key_id), self._stores.secret(config.secret_access_key))
        secrets = AwsSecrets(config.region, endpoint=config.endpoint, credentials=credentials)
        self._closing.push_async_callback(secrets.close)
        return lambda reference: AwsKeySource(reference, secrets)

    def _gcp(self, config: GcpConfig) -> Made:
        from clients.secrets.gcp import GcpKeySource, GcpSecrets  # noqa: PLC0415 (an optional extra)

        key = None if config.service_account_key is None else self._stores.secret(config.service_account_key)
        endpoint = None if config.endpoint is None else URL(config.endpoint)
        secrets = GcpSecrets(config.project, endpoint=endpoint, service_account_key=key)
        self._closing.push_async_callback(secrets.close)
        return lambda reference: GcpKeySource(reference, secrets)

    def _azure(self, config: AzureConfig) -> Made:
        from clients.secrets.azure import AzureKeySource, AzureVault  # noqa: PLC0415 (an optional extra)

        vault = AzureVault(config.address, self._azure_identity(config))
        self._closing.push_async_callback(vault.close)
        return lambda reference: AzureKeySource(reference, vault)

    def _azure_identity(self, config: AzureConfig) -> "Identity":
        from clients.secrets.azure import (  # noqa: PLC0415 (an optional extra)
            client_secret,
            managed_identity,
            workload_identity,
        )

        match config:
            case AzureConfig(auth="managed-identity"):
                return managed_identity(config.client_id)
            case AzureConfig(
                auth="client-secret", tenant_id=str(tenant_id), client_id=str(client_id), client_secret=str(secret)
            ):
                return client_secret(tenant_id, client_id, self._stores.secret(secret), config.authority)
        return workload_identity(config.client_id)
