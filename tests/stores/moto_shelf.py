"""AWS as moto has it, and shelves in it."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from clients.secrets.aws import AwsKeySource, AwsSecrets
from clients.secrets.key_source import KeySource
from clients.secrets.reference import reference_of
from clients.secrets.source import FileSource

ACCESS_KEY_ID, SECRET_ACCESS_KEY = "AKIACANARY0000000001", "aws-canary-secret-0a1b2c3d4e5f"
REGION = "eu-central-1"


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Runs moto in threads of this process; gives its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class MotoShelf:
    """See `Shelf`: one secret of Secrets Manager."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.name = f"cohere/{secrets.token_hex(4)}"
        files = [folder / "access_key_id", folder / "secret_access_key"]
        for file, value in zip(files, (ACCESS_KEY_ID, SECRET_ACCESS_KEY), strict=True):
            file.write_text(value)
        self.store = AwsSecrets(REGION, endpoint=endpoint, credentials=(FileSource(files[0]), FileSource(files[1])))
        self.client: Any = boto3.session.Session().client(
            "secretsmanager",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
        )
        self.source: KeySource = self.other("aws-sm:{}")

    def other(self, reference: str) -> KeySource:
        return AwsKeySource(reference_of(reference.format(self.name)), self.store)

    async def put(self, value: str) -> str:
        try:
            answer = self.client.put_secret_value(SecretId=self.name, SecretString=value)
        except self.client.exceptions.ResourceNotFoundException:
            answer = self.client.create_secret(Name=self.name, SecretString=value)
        return str(answer["VersionId"])

    async def disable_newest(self) -> None:
        # There, a version is not disabled: its label goes back to the one before.
        stages = self.client.describe_secret(SecretId=self.name)["VersionIdsToStages"]
        by_stage = {stage: version for version, names in stages.items() for stage in names}
        self.client.update_secret_version_stage(
            SecretId=self.name,
            VersionStage="AWSCURRENT",
            RemoveFromVersionId=by_stage["AWSCURRENT"],
            MoveToVersionId=by_stage["AWSPREVIOUS"],
        )

    async def close(self) -> None:
        await self.store.close()
        self.client.close()
