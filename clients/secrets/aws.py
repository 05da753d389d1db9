"""`aws-sm:NAME`: a key in AWS Secrets Manager, through boto3 in threads.

Always by its staging label: what is asked for without one is not the current version everywhere.
"""

import threading
from typing import Any

import boto3.session
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets.asking import (
    CONNECT_S_MAX,
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
from clients.secrets.threads import Threads

THREADS_MAX = 4
_NOT_THERE = {
    "ResourceNotFoundException": "there is no such secret, or none with this label",
    "InvalidRequestException": "the secret is marked for deletion",
}
_REFUSALS = {
    "AccessDeniedException": "we may not read it: allow secretsmanager:GetSecretValue",
    "DecryptionFailure": "we may not decrypt it: allow kms:Decrypt of its key",
    "ExpiredTokenException": "our credentials have expired",
    "InvalidSignatureException": "our credentials are wrong",
    "UnrecognizedClientException": "our credentials are wrong",
    "ThrottlingException": "asked too often",
}
_CREDENTIALS_OVER = {"ExpiredTokenException", "InvalidSignatureException", "UnrecognizedClientException"}


class AwsSecrets:
    """Secrets Manager of one region, and our credentials there; shared by all that is kept there.

    Args:
        region: Such as `eu-central-1`.
        endpoint: Another address than the region's own, such as that of a VPC endpoint.
        credentials: Access key id and secret access key; absent = as boto3 finds them, such as a pod's role.
    """

    def __init__(
        self,
        region: str,
        *,
        endpoint: str | None = None,
        credentials: tuple[SecretSource, SecretSource] | None = None,
    ) -> None:
        silence("boto3", "botocore", "urllib3")
        self._region = region
        self._endpoint = endpoint
        self._credentials = credentials
        self._threads = Threads("aws-sm", THREADS_MAX)
        self._making = threading.Lock()
        self._client: Any = None

    async def ask(self, reference: Reference, label: str) -> Secret:
        """Reads the version with a staging label.

        Raises:
            SecretMissing: There is none.
            SourceUnavailable: AWS cannot be reached, or refuses.
        """
        answer = self._threads.run(lambda: self._asked(reference, label))
        return await asked(reference, answer, lambda error: _explained(reference, error))

    async def close(self) -> None:
        """Lets go of its connections."""
        self._threads.close()
        if self._client is not None:
            self._client.close()

    def _asked(self, reference: Reference, label: str) -> Secret:
        client = self._made_client()
        try:
            answer = client.get_secret_value(SecretId=reference.name, VersionStage=label)
        except ClientError as error:
            if _code_of(error) in _CREDENTIALS_OVER:
                self._forget(client)  # the next one reads the credentials again
            raise
        content = answer.get("SecretString")
        if content is None:
            content = answer.get("SecretBinary", b"").decode("latin-1")
        return Secret(value_of(reference, content), version_of(answer["VersionId"]))

    def _made_client(self) -> Any:
        with self._making:
            if self._client is None:
                keys: dict[str, str] = {}
                if self._credentials is not None:
                    names = ("aws_access_key_id", "aws_secret_access_key")
                    keys = {
                        name: credential_of(source.read) for name, source in zip(names, self._credentials, strict=True)
                    }
                self._client = boto3.session.Session().client(
                    "secretsmanager", region_name=self._region, endpoint_url=self._endpoint, config=_CONFIG, **keys
                )
            return self._client

    def _forget(self, client: Any) -> None:
        with self._making:
            if self._client is client:
                self._client = None


_CONFIG = Config(
    connect_timeout=CONNECT_S_MAX,
    read_timeout=READ_S_MAX,
    retries={"total_max_attempts": 1},
    ignore_configured_endpoint_urls=True,  # the config says where it is, not AWS_ENDPOINT_URL
)


class AwsKeySource:
    """See `KeySource`."""

    kind = "aws-sm"
    path = None

    def __init__(self, reference: Reference, secrets: AwsSecrets) -> None:
        self.reference = reference.text
        self._named = reference
        self._secrets = secrets

    async def read(self) -> Secret:
        """See `KeySource.read`."""
        return await self._secrets.ask(self._named, "AWSCURRENT")

    async def read_previous(self) -> Secret | None:
        """See `KeySource.read_previous`."""
        try:
            return await self._secrets.ask(self._named, "AWSPREVIOUS")
        except SecretMissing:
            return None


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _explained(reference: Reference, error: Exception) -> Problem:
    if isinstance(error, ClientError):
        code = _code_of(error)
        if code in _NOT_THERE:
            return SecretMissing(f"{reference.text}: {_NOT_THERE[code]}")
        if code in _REFUSALS:
            return SourceUnavailable(f"{reference.text}: {_REFUSALS[code]}")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "no status")
        return SourceUnavailable(f"{reference.text}: AWS refuses ({status})")
    if isinstance(error, NoCredentialsError):
        return SourceUnavailable(f"{reference.text}: no AWS credentials: give the pod a role, or set secrets.aws")
    return unreachable(reference, error)
