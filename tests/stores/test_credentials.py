"""What the stores are asked with: where it comes from, that it may change, and what is said where there is none."""

import json
from pathlib import Path
from typing import Any, ClassVar

import grpc.aio
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretVersion
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcAsyncIOTransport,
)
from yarl import URL

from clients.errors import SourceUnavailable
from clients.secrets import gcp
from clients.secrets.aws import AwsKeySource, AwsSecrets
from clients.secrets.azure import AzureKeySource, AzureVault, managed_identity, workload_identity
from clients.secrets.gcp import GcpKeySource, GcpSecrets
from clients.secrets.reference import reference_of
from clients.secrets.source import EnvSource, FileSource
from clients.secrets.vault import Vault, VaultKeySource
from clients.secrets.vault_login import AppRoleLogin
from tests.stores.azure_fake import CLIENT_SECRET, AzureShelf
from tests.stores.gcp_fake import NAME, PROJECT, gcp_server
from tests.stores.parrot import parrot_server
from tests.stores.shelf import COHERE_KEYS


@pytest.fixture(autouse=True)
def _no_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine has no identity in any cloud, and nobody is asked whether it has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)


async def test_aws_without_credentials_is_told_so() -> None:
    store = AwsSecrets("eu-central-1", endpoint="http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"^aws-sm:a: no AWS credentials: give the pod a role"):
        await AwsKeySource(reference_of("aws-sm:a"), store).read()
    await store.close()


async def test_aws_takes_its_own_address_and_none_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    store = AwsSecrets("eu-central-1")

    assert store._made_client().meta.endpoint_url == "https://secretsmanager.eu-central-1.amazonaws.com"
    await store.close()


async def test_aws_credentials_that_are_refused_are_read_again(tmp_path: Path) -> None:
    shown: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        shown.append(request.headers["Authorization"].partition("Credential=")[2].partition("/")[0])
        return web.json_response({"__type": "UnrecognizedClientException", "message": "token"}, status=400)

    app = web.Application()
    app.router.add_post("/", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (tmp_path / "id").write_text("AKIAOLD")
    credentials = FileSource(tmp_path / "id"), EnvSource("SECRET", {"SECRET": "secret"})
    store = AwsSecrets("eu-central-1", endpoint=f"http://127.0.0.1:{runner.addresses[0][1]}", credentials=credentials)
    source = AwsKeySource(reference_of("aws-sm:a"), store)
    for name in ("AKIAOLD", "AKIANEW"):
        (tmp_path / "id").write_text(name)
        with pytest.raises(SourceUnavailable, match=r"^aws-sm:a: our credentials are wrong$"):
            await source.read()
    await store.close()
    await runner.cleanup()

    assert shown == ["AKIAOLD", "AKIANEW"]


@pytest.mark.parametrize("shelf", ["azure-kv"], indirect=True)
async def test_an_azure_secret_that_is_refused_is_read_again(shelf: AzureShelf) -> None:
    await shelf.put(COHERE_KEYS[0])
    shelf.secret_file.write_text("of-yesterday")
    with pytest.raises(SourceUnavailable, match="our identity is not taken"):
        await shelf.source.read()
    shelf.secret_file.write_text(CLIENT_SECRET)

    assert (await shelf.source.read()).reveal() == COHERE_KEYS[0]


@pytest.mark.parametrize("shelf", ["azure-kv"], indirect=True)
async def test_azure_is_logged_in_to_once_for_many_reads(shelf: AzureShelf) -> None:
    await shelf.put(COHERE_KEYS[0])
    for _ in range(5):
        await shelf.source.read()

    assert shelf.fake.logins == 1


async def test_a_pod_without_an_azure_identity_is_told_so() -> None:
    store = AzureVault("https://cohort.vault.azure.net", workload_identity(None))
    with pytest.raises(SourceUnavailable, match=r"^azure-kv:a: our identity is not taken: see secrets.azure$"):
        await AzureKeySource(reference_of("azure-kv:a"), store).read()
    await store.close()


def test_of_several_machine_identities_one_may_be_meant() -> None:
    assert managed_identity("66666666")({}) is not None


async def test_google_without_credentials_is_told_so() -> None:
    store = GcpSecrets("example-project")
    with pytest.raises(SourceUnavailable, match=r"^gcp-sm:a: no Google credentials, or none that it takes"):
        await GcpKeySource(reference_of("gcp-sm:a"), store).read()
    await store.close()


def account_key(folder: Path, email: str = "cohort@example.com") -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    written = {"type": "service_account", "client_email": email, "private_key": pem}
    (folder / "gcp.json").write_text(json.dumps({**written, "token_uri": "https://127.0.0.1:9/token"}, indent=2))
    return folder / "gcp.json"


async def test_a_google_service_account_s_key_is_taken_from_where_it_is_kept(tmp_path: Path) -> None:
    store = GcpSecrets("example-project", service_account_key=FileSource(account_key(tmp_path)))

    assert getattr(store._credentials(), "service_account_email", "") == "cohort@example.com"


@pytest.mark.parametrize("written", ["{", "[]", '{"type": "service_account"}', '{"private_key": "canary"}'])
async def test_anything_else_is_no_key_of_a_google_service_account(tmp_path: Path, written: str) -> None:
    (tmp_path / "gcp.json").write_text(written)
    store = GcpSecrets("example-project", service_account_key=FileSource(tmp_path / "gcp.json"))
    with pytest.raises(SourceUnavailable, match=r"^gcp-sm:a: what to ask with: no JSON key of a service account$"):
        await GcpKeySource(reference_of("gcp-sm:a"), store).read()
    await store.close()


class Plain(SecretManagerServiceGrpcAsyncIOTransport):
    """Google's transport without TLS; remembers whose credentials it was made with."""

    made: ClassVar[list[Any]] = []

    def __init__(self, *, credentials: Any, host: str) -> None:
        self.made.append(credentials.service_account_email)
        super().__init__(channel=grpc.aio.insecure_channel(host), host=host)


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "no Google credentials, or none that it takes: see secrets.gcp"),
        (grpc.StatusCode.UNAVAILABLE, "cannot be reached (ServiceUnavailable)"),
    ],
)
async def test_a_google_service_account_s_key_that_is_refused_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: grpc.StatusCode, advice: str
) -> None:
    monkeypatch.setattr(gcp, "SecretManagerServiceGrpcAsyncIOTransport", Plain)
    monkeypatch.setattr(Plain, "made", [])
    async with gcp_server() as (fake, address):
        fake.versions.append((COHERE_KEYS[0].encode(), SecretVersion.State.ENABLED))
        fake.refusal = refusal
        store = GcpSecrets(PROJECT, endpoint=address.with_scheme("https"),
                           service_account_key=FileSource(account_key(tmp_path, "old@example.com")))  # fmt: skip
        source = GcpKeySource(reference_of(f"gcp-sm:{NAME}"), store)
        with pytest.raises(SourceUnavailable) as raised:
            await source.read()
        fake.refusal = None
        account_key(tmp_path, "new@example.com")
        for _ in range(3):
            assert (await source.read()).reveal() == COHERE_KEYS[0]
        await store.close()

    assert advice in str(raised.value)
    assert Plain.made == ["old@example.com", "new@example.com"]


def test_who_gets_no_token_of_google_s_is_told_so() -> None:
    # As gRPC words what the credentials raise, on its own thread.
    error = exceptions.ServiceUnavailable("Getting metadata from plugin failed with error: canary")  # type: ignore[no-untyped-call]
    told = str(gcp._explained(reference_of("gcp-sm:a"), error))

    assert told.startswith("gcp-sm:a: Google gives us no token: see secrets.gcp")
    assert "canary" not in told


async def test_google_s_client_is_spoken_to_over_tls_but_on_this_machine() -> None:
    store = GcpSecrets("example-project", endpoint=URL("https://127.0.0.1:9"), service_account_key=None)
    with pytest.raises(SourceUnavailable, match="no Google credentials"):
        await GcpKeySource(reference_of("gcp-sm:a"), store).read()
    await store.close()


async def test_a_login_to_a_vault_carries_no_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "another")
    async with parrot_server() as (parrot, address):
        login = AppRoleLogin("role", EnvSource("SECRET_ID", {"SECRET_ID": "secret-id"}), "approle")
        store = Vault(address, login, mount="secret")
        with pytest.raises(SourceUnavailable):
            await VaultKeySource(reference_of("vault:a#b"), store).read()
        await store.close()

        assert parrot.tokens == [""]
