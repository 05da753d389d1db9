"""What people and programs run beside a service while its secrets are looked for: the commands that hold secrets.

A secret that a command makes is shown once, on its stdout, which is what it was asked for. That one place is cut out
of what is looked at; a second one, or any other place, counts like everything else.
"""

import asyncio
import json
import shutil
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import httpx
import pytest

from cohort.client.service_account import ServiceAccount
from service.cli import main, oauth_device
from service.cli.caller_credential import CallerCredential
from service.cli.login_bearer import LoginBearer
from service.cli.token_store import login_store
from tests.identity.canaries import Secrets
from tests.identity.minters import Holder
from tests.identity.rpcs import TEAM
from tests.identity.scene import Scene
from tests.unit.cli.fake_issuer import CLIENT, ISSUER, TOKENS, Browser, FakeIssuer, error, installed


class Told(NamedTuple):
    """What a command wrote."""

    out: str
    err: str


@dataclass
class Terminal:
    """Where somebody runs commands.

    Attributes:
        told: What they wrote, without the secrets that they were asked for.
        held: Objects with secrets in them that are to be alive when objects are looked at.
    """

    made: Scene
    secrets: Secrets
    capfd: pytest.CaptureFixture[str]
    issuer: FakeIssuer
    told: list[Told] = field(default_factory=list)
    held: list[object] = field(default_factory=list)

    @property
    def where(self) -> tuple[str, ...]:
        return ("--target", f"localhost:{self.made.service.port}", "--ca-file", str(self.made.folder / "ca.pem"))

    async def run(self, *words: str, code: int = 0) -> str:
        """Runs a command that shows no secret; gives its stdout."""
        out, err = await self._ran(words, code)
        self.told.append(Told(out, err))
        return out

    async def run_for(self, what: str, *words: str) -> str:
        """Runs a command that shows a new secret, alone on the first line and once; gives it."""
        out, err = await self._ran(words, 0)
        secret, *_ = out.splitlines()
        self.secrets.add(what, secret)
        self.told.append(Told(out.replace(secret, "", 1), err))
        return secret

    async def _ran(self, words: Sequence[str], code: int) -> Told:
        self.told.append(Told(*self.capfd.readouterr()))  # of the service, since the last command
        ended = await asyncio.to_thread(main, [*words])
        told = Told(*self.capfd.readouterr())
        assert ended == code, (words, ended, told.err)
        return told

    def private(self, name: str, content: str) -> str:
        """Writes a file that nobody else may read; gives its path."""
        path = self.made.folder / name
        path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        path.write_text(content)
        return str(path)


def terminal(
    made: Scene, secrets: Secrets, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """One with an issuer of its own, whose access tokens the service believes."""
    home = made.folder / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv("COHORT_ACCESS_KEY", raising=False)
    (made.folder / "ca.pem").write_bytes(made.authority.pem)
    return Terminal(made, secrets, capfd, installed(FakeIssuer(), monkeypatch))


def told_by(at: Terminal) -> dict[str, bytes]:
    """What was written at a terminal."""
    return {
        "stdout of commands": "".join(told.out for told in at.told).encode(),
        "stderr of commands": "".join(told.err for told in at.told).encode(),
    }


async def run_commands(at: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that makes, reads or presents a secret; as it is meant to be, and with something wrong."""
    await _of_access_keys(at)
    await _of_service_accounts(at)
    await _of_a_login(at, monkeypatch)
    await at.run("check", "--config", str(at.made.folder / "cohort.toml"))
    await at.run("check", "--config", str(at.made.folder / "cohort.toml"), "--keys")
    await at.run("check", "--config", str(at.made.folder / "cohort.toml"), "--keys", "--json")


async def _of_access_keys(at: Terminal) -> None:
    operator = at.made.minters.access_key.mint(Holder(TEAM, "admin"))
    at.secrets.add_presented("access key of a file", operator)
    admin = ("--access-key-file", at.private("admin.key", operator.metadata[0][1]), *at.where)
    made = await at.run_for(
        "access key of keys create",
        *("keys", "create", "--team", TEAM, "--name", "new", "--scopes", "chat,usage:read", *admin),
    )
    await at.run_for("access key of keys rotate", "keys", "rotate", made.split("_")[2], *admin)
    mine = ("--access-key-file", at.private("new.key", made), *at.where)
    await at.run("whoami", *mine)
    await at.run("call", "chat", "Hi", *mine)
    for words in (("keys", "list"), ("audit", "list", "--json"), ("teams", "show"), ("usage", "--json")):
        await at.run(*words, "--team", TEAM, *admin) if words[0] != "teams" else await at.run(*words, TEAM, *admin)
    await at.run("keys", "revoke", made.split("_")[2], "--note", "canaries", *admin)
    await at.run("whoami", *mine, code=1)
    spoilt = at.private("spoilt.key", f"{made}\n{at.secrets.texts['pepper']}")
    await at.run("whoami", "--access-key-file", spoilt, *at.where, code=2)


async def _of_service_accounts(at: Terminal) -> None:
    admin = ("--access-key-file", str(at.made.folder / "admin.key"), *at.where)
    for algorithm in ("EdDSA", "ES256"):
        words = ("service-accounts", "create", "--team", TEAM, "--name", "new", "--scopes", "chat,usage:read")
        out, err = await at._ran((*words, "--algorithm", algorithm, *admin), 0)
        account = json.loads(out)
        pem = str(account["private_key"])
        at.secrets.add_private_key(f"private key of a service account, {algorithm}", pem)
        at.told.append(Told(out.replace(json.dumps(pem), "", 1), err))
        file = at.private(f"{algorithm}.json", out)
        await at.run_for(f"JWT of cohort token, {algorithm}", "token", "--service-account", file)
        await at.run("whoami", "--service-account", file, *at.where)
        await at.run("call", "chat", "Hi", "--service-account", file, *at.where)
        await at.run("token", "--service-account", file, "--scopes", "admin", code=2)
        for name, wrong in (("cut", out[:-20]), ("other", out.replace("PRIVATE", "PUBLIC"))):
            broken = at.private(f"{algorithm}-{name}.json", wrong)
            await at.run("token", "--service-account", broken, code=2)
            await at.run("whoami", "--service-account", broken, *at.where, code=2)
        at.held.append(ServiceAccount.from_file(file))
        await at.run("service-accounts", "list", "--team", TEAM, *admin)
        await at.run("service-accounts", "revoke", account["id"], *admin)
        await at.run("whoami", "--service-account", file, *at.where, code=1)


async def _of_a_login(at: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets, issuer = at.secrets.texts, at.issuer
    codes = iter(("authorization code", "authorization code"))
    browser = Browser(lambda asked: {"code": secrets[next(codes)], "state": asked["state"]})
    monkeypatch.setattr("webbrowser.get", lambda: None)
    monkeypatch.setattr("webbrowser.open", browser.open)
    monkeypatch.setenv("BROWSER", "a browser of the tests")
    monkeypatch.setattr(oauth_device, "time", SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: None))
    issuer.device_answer["device_code"] = secrets["device code"]
    words = ("login", "--issuer", ISSUER, "--client-id", CLIENT, "--scopes", "chat usage:read offline_access")

    issuer.token_answers = [_quoting(at, "authorization code")]
    await at.run(*words, code=1)
    issuer.token_answers = [_quoting(at, "device code")]
    await at.run(*words, "--device", code=1)
    for number, way in enumerate(((), ("--device",))):
        issuer.token_answers = [_issued(at, f"of a login, {number}", "refresh token")]
        await at.run(*words, *way)
    for form in issuer.sent("/token"):
        if "code_verifier" in form:
            at.secrets.add("PKCE verifier", form["code_verifier"])
    await at.run("whoami", *at.where)
    await at.run("call", "chat", "Hi", *at.where)

    store = login_store()
    login = store.load()
    assert login is not None
    assert login.refresh_token == secrets["refresh token"]
    at.held += [login, LoginBearer(store, login), CallerCredential("here", bearer=LoginBearer(store, login))]
    store.save(login.model_copy(update={"expires_at_s": 1}))
    issuer.token_answers = [_quoting(at, "refresh token")]
    await at.run("call", "chat", "Hi", *at.where, code=1)
    issuer.token_answers = [_issued(at, "of a renewal", "refresh token after renewal")]
    await at.run("call", "chat", "Hi", *at.where)
    shutil.copy(store.file, at.made.folder / "login.json")
    store.file.write_text(store.file.read_text()[:-3])
    await at.run("whoami", *at.where, code=2)
    shutil.copy(at.made.folder / "login.json", store.file)
    issuer.revocation_answer = _quoting(at, "refresh token after renewal")
    await at.run("logout")


def _issued(at: Terminal, what: str, refresh_token: str) -> httpx.Response:
    shown = at.made.minters.oauth2_jwt.mint(Holder(TEAM, "chat"))
    access_token = shown.metadata[0][1].removeprefix("Bearer ")
    at.secrets.add(f"access token {what}", access_token)
    tokens = {**TOKENS, "access_token": access_token, "refresh_token": at.secrets.texts[refresh_token]}
    return httpx.Response(200, json=tokens)


def _quoting(at: Terminal, what: str) -> httpx.Response:
    """A refusal that says what it refuses."""
    return error("invalid_request", f"{at.secrets.texts[what]} is no good")
