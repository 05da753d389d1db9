"""Logging in to a Vault, and staying logged in."""

import asyncio
from pathlib import Path
from typing import Any

import hvac.v1
import pytest
import trustme

from clients.errors import SourceUnavailable
from clients.secrets.reference import reference_of
from clients.secrets.source import EnvSource, FileSource
from clients.secrets.vault import Vault, VaultKeySource
from clients.secrets.vault_login import AppRoleLogin, KubernetesLogin, Lease, Login, TokenLogin
from tests.stores.bao import Bao, BaoShelf
from tests.stores.kubernetes_fake import REVIEWER_JWT, account_jwt, kubernetes_server
from tests.stores.parrot import parrot_server
from tests.stores.shelf import COHERE_KEYS

FIRST, SECOND, _ = COHERE_KEYS


class Counted:
    """A login that counts how often it was needed."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self.count = 0

    def __call__(self, client: Any) -> Lease:
        self.count += 1
        return self._login(client)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Scene:
    """A shelf whose key is read by another login than its own."""

    def __init__(self, bao: Bao, folder: Path) -> None:
        self.bao, self.folder = bao, folder
        self.shelf = BaoShelf(bao, folder)
        self.clock = Clock()
        self.vaults = [self.shelf.vault]

    def read_by(self, login: Login, **options: Any) -> tuple[VaultKeySource, Counted]:
        counted = Counted(login)
        made = Vault(self.bao.address, counted, mount="secret", ca_file=self.bao.ca_file, clock=self.clock, **options)
        self.vaults.append(made)
        return VaultKeySource(reference_of(self.shelf.source.reference), made), counted

    def by_token(self, **options: Any) -> tuple[VaultKeySource, Counted, str]:
        answer = self.bao.root.auth.token.create(policies=[self.shelf.policy], **options)
        token = answer["auth"]["client_token"]
        (self.folder / "token").write_text(token)
        return *self.read_by(TokenLogin(FileSource(self.folder / "token"))), token

    def by_approle(self) -> tuple[VaultKeySource, Counted]:
        login = AppRoleLogin(self.shelf.role_id, FileSource(self.shelf.secret_id_file), "approle")
        return self.read_by(login)

    def looked_up(self, token: str) -> dict[str, Any]:
        data: dict[str, Any] = self.bao.root.auth.token.lookup(token)["data"]
        return data


@pytest.fixture
async def scene(bao: Bao, tmp_path: Path) -> Any:
    made = Scene(bao, tmp_path)
    await made.shelf.put(FIRST)
    yield made
    for vault in made.vaults:
        await vault.close()


async def test_many_reads_at_once_log_in_once(scene: Scene) -> None:
    source, login = scene.by_approle()
    secrets = await asyncio.gather(*(source.read() for _ in range(20)))

    assert {secret.reveal() for secret in secrets} == {FIRST}
    assert login.count == 1


async def test_a_token_is_renewed_at_half_its_time(scene: Scene) -> None:
    source, login, token = scene.by_token(ttl="40s")
    await source.read()
    assert not scene.looked_up(token).get("last_renewal")
    scene.clock.now_s = 19
    await source.read()
    assert not scene.looked_up(token).get("last_renewal")
    scene.clock.now_s = 21
    await source.read()

    assert scene.looked_up(token)["last_renewal"]
    assert login.count == 1


async def test_a_token_that_cannot_be_renewed_is_made_anew_by_another_login(scene: Scene) -> None:
    source, login = scene.by_approle()
    await source.read()
    scene.bao.root.auth.token.revoke(str(scene.vaults[-1]._client.token))
    scene.clock.now_s = 3600 / 2 + 1
    secret = await source.read()

    assert secret.reveal() == FIRST
    assert login.count == 2


async def test_a_revoked_token_is_replaced_at_the_next_read(scene: Scene) -> None:
    source, login = scene.by_approle()
    await source.read()
    scene.bao.root.auth.token.revoke(str(scene.vaults[-1]._client.token))
    secrets = await asyncio.gather(*(source.read() for _ in range(10)))

    assert {secret.reveal() for secret in secrets} == {FIRST}
    assert login.count == 2


async def test_a_refusal_by_the_policy_does_not_log_in_again(scene: Scene) -> None:
    source, login = scene.by_approle()
    await source.read()
    await scene.shelf.bar()
    for _ in range(3):
        with pytest.raises(SourceUnavailable, match="its policy has to allow"):
            await source.read()

    assert login.count == 1


async def test_a_changed_token_file_is_read_when_the_old_token_is_refused(scene: Scene) -> None:
    source, _, token = scene.by_token(ttl="1h")
    await source.read()
    scene.by_token(ttl="1h")
    scene.bao.root.auth.token.revoke(token)

    assert (await source.read()).reveal() == FIRST


async def test_a_new_secret_id_is_read_when_the_login_is_refused(scene: Scene) -> None:
    source, _ = scene.by_approle()
    role = scene.shelf.role
    scene.shelf.secret_id_file.write_text("00000000-0000-0000-0000-000000000000")
    with pytest.raises(SourceUnavailable, match="takes no such role id and secret id"):
        await source.read()
    answer = scene.bao.root.auth.approle.generate_secret_id(role)
    scene.shelf.secret_id_file.write_text(answer["data"]["secret_id"])

    assert (await source.read()).reveal() == FIRST


async def test_a_token_that_never_ends_is_not_renewed(scene: Scene) -> None:
    source, login = scene.read_by(TokenLogin(EnvSource("TOKEN", {"TOKEN": str(scene.bao.root.token)})))
    await source.read()
    scene.clock.now_s = 1e9

    assert (await source.read()).reveal() == FIRST
    assert login.count == 1


async def test_a_pod_logs_in_with_its_service_account(scene: Scene) -> None:
    root, folder = scene.bao.root, scene.folder
    if "kubernetes/" not in root.sys.list_auth_methods()["data"]:
        root.sys.enable_auth_method("kubernetes")
    async with kubernetes_server() as address:
        await asyncio.to_thread(
            root.auth.kubernetes.configure,
            address,
            kubernetes_ca_cert=trustme.CA().cert_pem.bytes().decode(),
            token_reviewer_jwt=REVIEWER_JWT,
            disable_local_ca_jwt=True,
        )
        root.auth.kubernetes.create_role(
            "cohort", ["cohort"], ["cohort"], policies=[scene.shelf.policy], audience="vault"
        )
        (folder / "jwt").write_text(f"{account_jwt('cohort')}\n")
        source, _ = scene.read_by(KubernetesLogin("cohort", folder / "jwt", "kubernetes"))
        assert (await source.read()).reveal() == FIRST

        (folder / "jwt").write_text(account_jwt("somebody"))
        source, _ = scene.read_by(KubernetesLogin("cohort", folder / "jwt", "kubernetes"))
        with pytest.raises(SourceUnavailable, match="does not take this pod's service account"):
            await source.read()


async def test_a_namespace_has_keys_of_its_own(scene: Scene) -> None:
    root = scene.bao.root
    root.sys.create_namespace("ads")
    inside = scene.bao.client("ads")
    inside.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    inside.secrets.kv.v2.create_or_update_secret(scene.shelf.name, {"api_key": SECOND})
    inside.session.close()
    source, _ = scene.read_by(TokenLogin(EnvSource("TOKEN", {"TOKEN": str(root.token)})), namespace="ads")

    assert (await source.read()).reveal() == SECOND


@pytest.mark.parametrize("way", ["token", "approle"])
async def test_a_namespace_that_there_is_not_is_no_missing_secret(scene: Scene, way: str) -> None:
    logins: dict[str, Login] = {
        "token": TokenLogin(EnvSource("TOKEN", {"TOKEN": str(scene.bao.root.token)})),
        "approle": AppRoleLogin(scene.shelf.role_id, FileSource(scene.shelf.secret_id_file), "approle"),
    }
    source, _ = scene.read_by(logins[way], namespace="nowhere")
    with pytest.raises(SourceUnavailable, match=r": the login is refused: "):
        await source.read()


async def test_the_token_does_not_follow_a_redirect() -> None:
    async with parrot_server() as (parrot, address):
        parrot.logins_refused, parrot.status = False, 307
        store = Vault(address, TokenLogin(EnvSource("TOKEN", {"TOKEN": "token"})), mount="secret")
        with pytest.raises(SourceUnavailable):
            await VaultKeySource(reference_of("vault:a#b"), store).read()
        await store.close()

        assert not [path for path in parrot.paths if "elsewhere" in path]


async def test_neither_the_environment_nor_the_home_has_a_say(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vault-token").write_text("another")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b")
    environ = {"HOME": str(tmp_path), "VAULT_TOKEN": "another", "VAULT_ADDR": "http://127.0.0.1:9"}
    for name, value in {**environ, "HTTPS_PROXY": "http://127.0.0.1:9", "VAULT_NAMESPACE": "another"}.items():
        monkeypatch.setenv(name, value)
    for name in ("VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY"):  # read when hvac is imported
        monkeypatch.setattr(hvac.v1, name, "/another")
    source, _ = scene.by_approle()

    assert (await source.read()).reveal() == FIRST
