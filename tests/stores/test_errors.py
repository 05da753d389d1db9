"""What goes wrong at a store is told in our words, soon, and without anything that the store or its client quotes."""

import logging
import subprocess
import sys
import time
import traceback
from pathlib import Path

import grpc
import pytest

from clients.errors import SecretMissing, SourceUnavailable
from clients.secrets import asking, bounded_answers, vault
from clients.secrets.aws import AwsKeySource, AwsSecrets
from clients.secrets.key_source import KeySource
from clients.secrets.reference import reference_of
from clients.secrets.source import EnvSource, FileSource
from clients.secrets.vault import Vault, VaultKeySource
from clients.secrets.vault_login import AppRoleLogin, KubernetesLogin, Login, TokenLogin
from tests.identity.canaries import hits
from tests.stores import azure_fake, bao, moto_shelf
from tests.stores.azure_fake import AzureShelf
from tests.stores.gcp_fake import GcpShelf
from tests.stores.parrot import Parrot, parrot_server
from tests.stores.shelf import COHERE_KEYS, GuardedShelf

TOKEN, SECRET_ID, JWT = "canary-token-000000111111", "canary-secret-id-2222223333", "canary-jwt-44444455555566"
ENVIRON = {
    "TOKEN": TOKEN,
    "SECRET_ID": SECRET_ID,
    "ID": moto_shelf.ACCESS_KEY_ID,
    "SECRET": moto_shelf.SECRET_ACCESS_KEY,
}
CANARIES = {
    **{f"Cohere key {number}": key for number, key in enumerate(COHERE_KEYS)},
    "token": TOKEN,
    "secret id": SECRET_ID,
    "JWT": JWT,
    "root": bao.ROOT_TOKEN,
    "token of a login": "canary-token-of-a-login",
    "AWS secret": moto_shelf.SECRET_ACCESS_KEY,
    "Azure secret": azure_fake.CLIENT_SECRET,
    "Azure token": azure_fake.TOKEN,
}


async def told(source: KeySource, caplog: pytest.LogCaptureFixture) -> SecretMissing | SourceUnavailable:
    """What a source raises, by either way of reading, found without any canary, as is what was logged."""
    error: SecretMissing | SourceUnavailable | None = None
    with caplog.at_level(logging.DEBUG):
        for read in (source.read_previous, source.read):
            try:
                assert await read() is None
            except (SecretMissing, SourceUnavailable) as raised:
                error = raised
            else:
                continue  # there is none before the one that is missing
            shown = (str(error), repr(error), str(error.args), *traceback.format_exception(error), caplog.text)
            assert hits(CANARIES, {"told": "\n".join(shown).encode()}) == []
            assert error.__context__ is None
            assert error.__cause__ is None
            assert str(error).startswith(f"{source.reference}: ")
    assert error is not None
    return error


def vault_at(address: str, login: Login) -> tuple[VaultKeySource, Vault]:
    store = Vault(address, login, mount="secret")
    return VaultKeySource(reference_of("vault:cohere/search#api_key"), store), store


def logins(folder: Path) -> dict[str, Login]:
    (folder / "jwt").write_text(JWT)
    return {
        "token": TokenLogin(EnvSource("TOKEN", ENVIRON)),
        "approle": AppRoleLogin("role", EnvSource("SECRET_ID", ENVIRON), "approle"),
        "kubernetes": KubernetesLogin("role", folder / "jwt", "kubernetes"),
    }


ANSWERS = [(status, form) for status in (200, 204, 301, 307, 400, 401, 403, 404, 405, 412, 429, 500, 502, 503)
           for form in ("json", "text")] + [(200, "cut"), (500, "cut")]  # fmt: skip


def answered(parrot: Parrot, status: int, form: str) -> None:
    parrot.status, parrot.form = status, form
    parrot.requests = 0


@pytest.mark.parametrize("login", ["token", "approle", "kubernetes"])
@pytest.mark.parametrize("refused", [True, False], ids=["at login", "after it"])
async def test_vault_may_answer_what_it_likes(
    login: str,
    refused: bool,  # noqa: FBT001
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with parrot_server() as (parrot, address):
        parrot.logins_refused = refused
        for status, form in ANSWERS:
            answered(parrot, status, form)
            source, store = vault_at(address, logins(tmp_path)[login])
            await told(source, caplog)
            await store.close()

            assert parrot.requests <= 8  # two reads, each with a login, a look at the token, and one more try


async def test_aws_may_answer_what_it_likes(caplog: pytest.LogCaptureFixture) -> None:
    credentials = (EnvSource("ID", ENVIRON), EnvSource("SECRET", ENVIRON))
    async with parrot_server() as (parrot, address):
        for status, form in ANSWERS:
            answered(parrot, status, form)
            store = AwsSecrets("eu-central-1", endpoint=address, credentials=credentials)
            await told(AwsKeySource(reference_of("aws-sm:cohere"), store), caplog)
            await store.close()

            assert parrot.requests <= 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("shelf", ["azure-kv"], indirect=True)
async def test_azure_may_answer_what_it_likes(shelf: AzureShelf, status: int, caplog: pytest.LogCaptureFixture) -> None:
    await shelf.put(COHERE_KEYS[0])
    shelf.fake.status = status

    await told(shelf.source, caplog)


@pytest.mark.parametrize("status", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("shelf", ["gcp-sm"], indirect=True)
async def test_google_may_answer_what_it_likes(
    shelf: GcpShelf, status: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    await shelf.put(COHERE_KEYS[0])
    shelf.fake.refusal = status

    await told(shelf.source, caplog)


@pytest.mark.parametrize(
    ("shelf", "advice"),
    [
        ("vault", "its policy has to allow `read` of secret/data/cohere/"),
        ("gcp-sm", "roles/secretmanager.secretAccessor"),
        ("azure-kv", "Key Vault Secrets User"),
    ],
    indirect=["shelf"],
)
async def test_who_may_not_read_is_told_what_to_allow(
    shelf: GuardedShelf, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    await shelf.put(COHERE_KEYS[0])
    await shelf.source.read()
    await shelf.bar()
    error = await told(shelf.source, caplog)

    assert isinstance(error, SourceUnavailable)
    assert advice in str(error)


@pytest.mark.parametrize(
    ("shelf", "advice"),
    [
        ("vault", "the login is refused: auth/approle"),
        ("gcp-sm", "see secrets.gcp"),
        ("azure-kv", "our identity is not taken: see secrets.azure"),
    ],
    indirect=["shelf"],
)
async def test_who_is_not_taken_is_told_so(shelf: GuardedShelf, advice: str, caplog: pytest.LogCaptureFixture) -> None:
    await shelf.put(COHERE_KEYS[0])
    await shelf.lock_out()
    error = await told(shelf.source, caplog)

    assert isinstance(error, SourceUnavailable)
    assert advice in str(error)


@pytest.mark.parametrize("kind", ["vault", "aws-sm"])
async def test_a_store_that_says_nothing_is_given_up_soon(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asking, "ANSWER_S_MAX", 0.2)
    store: Vault | AwsSecrets
    async with parrot_server() as (parrot, address):
        parrot.form = "silent"
        source: KeySource
        if kind == "vault":
            source, store = vault_at(address, logins(tmp_path)["token"])
        else:
            store = AwsSecrets(
                "eu-central-1", endpoint=address, credentials=(EnvSource("ID", ENVIRON), EnvSource("SECRET", ENVIRON))
            )
            source = AwsKeySource(reference_of("aws-sm:cohere"), store)
        begun_s = time.monotonic()
        error = await told(source, caplog)

        assert "no answer in time" in str(error)
        assert time.monotonic() - begun_s < 5
    await store.close()


@pytest.mark.parametrize(("form", "problem"), [("drops", "no answer in time"), ("endless", "(AnswerTooLong)")])
async def test_a_vault_whose_answer_does_not_end_is_given_up_and_asked_again(
    form: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bounded_answers, "READ_S_MAX", 0.3)
    async with parrot_server() as (parrot, address):
        source, store = vault_at(address, logins(tmp_path)["token"])
        for _ in range(vault.THREADS_MAX):
            parrot.form = form
            assert problem in str(await told(source, caplog))
        answered(parrot, 503, "json")
        assert "Vault is sealed" in str(await told(source, caplog))
    await store.close()


def test_what_hangs_in_a_thread_keeps_no_process_alive() -> None:
    lines = (
        "import asyncio, time",
        "from clients.secrets.threads import Threads",
        "async def ask():",
        "    asking = asyncio.create_task(Threads('store', 2).run(lambda: time.sleep(600)))",
        "    await asyncio.wait({asking}, timeout=0.1)",
        "asyncio.run(ask())",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=30)


async def test_a_store_that_is_away_is_told_by_the_kind_of_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, store = vault_at(f"http://127.0.0.1:{bao.free_port()}", logins(tmp_path)["token"])
    error = await told(source, caplog)
    await store.close()

    assert str(error) == "vault:cohere/search#api_key: cannot be reached (ConnectionError)"


async def test_a_certificate_of_nobody_is_not_believed(
    bao: bao.Bao, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, store = vault_at(bao.address, logins(tmp_path)["token"])  # without the server's authority
    error = await told(source, caplog)
    await store.close()

    assert "cannot be reached (SSLError)" in str(error)


async def test_what_we_ask_with_is_no_missing_cohere_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    login = AppRoleLogin("role", FileSource(tmp_path / "absent"), "approle")
    source, store = vault_at("http://127.0.0.1:9", login)
    error = await told(source, caplog)
    await store.close()

    assert isinstance(error, SourceUnavailable)
    assert f": what to ask with: file:{tmp_path}/absent: No such file" in str(error)
