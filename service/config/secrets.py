"""The sections that say how the stores of Cohere keys are reached; docs/configuration.md has a line for each."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.config.base import Section
from service.config.values import PepperVersion, Reference, Seconds, StoreUrl

KUBERNETES_JWT_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class VaultConfig(Section):
    """HashiCorp Vault or OpenBao, for `vault:`."""

    address: StoreUrl
    mount: str = Field(default="secret", pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")
    """Where its KV engine of version 2 is."""
    namespace: str | None = Field(default=None, max_length=256, pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*/?$")
    """Of an enterprise's Vault, or of OpenBao."""
    ca_file: Path | None = None
    """PEM of who signed its certificate; absent = the public authorities."""
    auth: Literal["token", "approle", "kubernetes"]
    auth_mount: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")
    """Where its auth method is; absent = named as the method."""
    token: Reference | None = None
    """Where the token is kept, for `token`."""
    role_id: str | None = Field(default=None, min_length=1, max_length=256)
    """For `approle`; no secret."""
    secret_id: Reference | None = None
    """Where the role's secret id is kept, for `approle`."""
    role: str | None = Field(default=None, max_length=256, pattern=r"^[A-Za-z0-9_.-]+$")
    """For `kubernetes`."""
    jwt_file: Path = KUBERNETES_JWT_FILE
    """The pod's service account, for `kubernetes`."""


class AwsConfig(Section):
    """AWS Secrets Manager, for `aws-sm:`. Without an access key, credentials are those that boto3 finds."""

    region: str = Field(pattern=r"^[a-z0-9-]{1,32}$")
    endpoint: StoreUrl | None = None
    """Another address than the region's own, such as that of a VPC endpoint."""
    access_key_id: Reference | None = None
    """Where the access key's id is kept."""
    secret_access_key: Reference | None = None
    """Where its secret is kept."""


class GcpConfig(Section):
    """Google Cloud's Secret Manager, for `gcp-sm:`. Without a key, credentials are those that Google's client finds."""

    project: str = Field(pattern=r"^[a-z0-9.:-]{1,64}$")
    endpoint: StoreUrl | None = None
    """Another address than the global one, such as that of a region."""
    service_account_key: Reference | None = None
    """Where a service account's JSON key is kept."""


class AzureConfig(Section):
    """An Azure Key Vault, for `azure-kv:`."""

    address: StoreUrl
    auth: Literal["workload-identity", "managed-identity", "client-secret"]
    tenant_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,128}$")
    """For `client-secret`."""
    client_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9-]{1,128}$")
    """For `client-secret`; of several managed identities, the one that is meant."""
    client_secret: Reference | None = None
    """Where the application's secret is kept, for `client-secret`."""
    authority: str | None = Field(default=None, pattern=r"^[a-z0-9.-]{1,253}$")
    """Another host to log in at than Azure's public one, for `client-secret`."""


class HeldConfig(Section):
    """Keys that Cohort keeps itself, sealed in its database, for `held:`."""

    keks: dict[PepperVersion, Reference] = Field(min_length=1)
    """Key encryption key's version → where it is kept: 64 hexadecimal digits."""
    kek_version: PepperVersion | None = None
    """The version that keys are sealed under; absent = the highest."""


class SecretsConfig(Section):
    """How Cohere keys are read from where they are kept. A change needs a restart."""

    refresh_seconds: Seconds = 60
    """How often each team's Cohere key is read again."""
    vault: VaultConfig | None = None
    aws: AwsConfig | None = None
    gcp: GcpConfig | None = None
    azure: AzureConfig | None = None
    held: HeldConfig | None = None
