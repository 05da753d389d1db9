"""A service whose team's key is kept in a real store: it is found, followed, and does without it for a while."""

import asyncio
import contextlib
import functools
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clients.sandbox import Sandbox
from clients.sandbox.keys import Key
from clients.secrets import vault
from clients.secrets.key_source import Secret
from clients.secrets.vault import Vault, VaultKeySource
from tests.e2e.cohort_service import Cohort, cohort, team_lines
from tests.e2e.requests import chat
from tests.e2e.traffic import Traffic
from tests.identity.canaries import hits
from tests.key_tables import access_key_lines
from tests.stores.bao import ROOT_TOKEN, Bao, BaoShelf, bao_server
from tests.stores.shelf import COHERE_KEYS

OLD, NEW, _ = (Key(f"version {number}", secret, "sandbox-organization") for number, secret in enumerate(COHERE_KEYS))


@contextlib.asynccontextmanager
async def service_of(
    folder: Path, bao: Bao, shelf: BaoShelf, refresh_s: float = 0.5
) -> AsyncIterator[tuple[Cohort, Sandbox, str]]:
    """A service with a team `search` whose key is in the Vault; gives its access key too."""
    access_key, key_lines = access_key_lines("search", "tests", ["chat"])
    assert bao.ca_file is not None
    secrets = (
        f"[secrets]\nrefresh_seconds = {refresh_s}\n"
        f'[secrets.vault]\naddress = "{bao.address}"\nca_file = "{bao.ca_file}"\n'
        f'auth = "approle"\nrole_id = "{shelf.role_id}"\nsecret_id = "file:{shelf.secret_id_file}"\n'
    )
    sandbox = Sandbox()
    sandbox.state.keys.add([OLD, NEW])
    async with sandbox.serve() as url:
        lines = team_lines("search", url).replace("file:search.key", shelf.source.reference)
        async with cohort(folder, base_url=url, more=f"{secrets}{lines}{key_lines}") as service:
            yield service, sandbox, access_key


class Clock:
    """The machine's, put forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s


def sent_with(sandbox: Sandbox) -> set[str]:
    return {request.key_name for request in sandbox.state.requests.all() if request.path == "/v2/chat"}


async def until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


def in_use(service: Cohort) -> list[object]:
    """The versions that the team got, one after the other."""
    return [line["key_version"] for line in service.lines("cohere key in use") if line["team"] == "search"]


def alerts(service: Cohort) -> list[object]:
    return [line["alert"] for line in service.lines("alert")]


@pytest.mark.slow
async def test_calls_go_on_while_the_store_is_away_and_a_new_key_is_taken_when_it_is_back(tmp_path: Path) -> None:
    with bao_server(tmp_path, tls=True) as bao:
        shelf = BaoShelf(bao, tmp_path)
        await shelf.put(OLD.secret)
        async with (
            service_of(tmp_path, bao, shelf) as (service, sandbox, access_key),
            Traffic(service.channel, access_key) as traffic,
        ):
            await traffic.answered(20)
            assert sent_with(sandbox) == {OLD.name}

            bao.process.send_signal(signal.SIGSTOP)
            await until(lambda: "key_source_unavailable" in alerts(service))
            await traffic.answered(50)
            assert sent_with(sandbox) == {OLD.name}

            bao.process.send_signal(signal.SIGCONT)
            await until(lambda: "key_source_back" in alerts(service))
            await shelf.put(NEW.secret)
            await until(lambda: NEW.name in sent_with(sandbox))
            await traffic.answered(20)

        assert traffic.refusals == []
        assert [alert for alert in alerts(service) if str(alert).startswith("key_source")] == [
            "key_source_unavailable", "key_source_back",
        ]  # fmt: skip
        canaries = {"old": OLD.secret, "new": NEW.secret, "secret id": shelf.secret_id, "root": ROOT_TOKEN}
        database = (tmp_path / "cohort.db").read_bytes()
        assert hits(canaries, {"log": service.log.getvalue(), "database": database}) == []
        await shelf.close()


@pytest.mark.prove
@pytest.mark.prove_short
async def test_calls_go_on_for_an_hour_without_the_store_though_its_token_ends_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, reads = Clock(), 0
    read = VaultKeySource.read

    async def counted(source: VaultKeySource) -> Secret:
        nonlocal reads
        try:
            return await read(source)
        finally:
            reads += 1

    async def a_minute_later() -> None:
        before = reads
        clock.ahead_s += 60
        await until(lambda: reads > before)

    monkeypatch.setattr(VaultKeySource, "read", counted)
    for wait in ("CONNECT_S_MAX", "READ_S_MAX"):  # as long as the store is away, every minute takes that long
        monkeypatch.setattr(vault, wait, 0.2)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)
    monkeypatch.setattr(Vault, "__init__", functools.partialmethod(Vault.__init__, clock=clock))
    with bao_server(tmp_path, tls=True) as bao:
        shelf = BaoShelf(bao, tmp_path)
        await shelf.put(OLD.secret)
        async with service_of(tmp_path, bao, shelf, refresh_s=60) as (service, sandbox, access_key):
            credentials = (("x-api-key", access_key),)
            await until(lambda: in_use(service) == [1])
            shelf.end_logins()
            bao.process.send_signal(signal.SIGSTOP)
            for _ in range(60):
                await a_minute_later()
                for _ in range(3):
                    await service.stub.Chat(chat(), metadata=credentials)
            assert alerts(service) == ["key_source_unavailable"]
            assert sent_with(sandbox) == {OLD.name}

            bao.process.send_signal(signal.SIGCONT)
            await shelf.put(NEW.secret)
            while in_use(service) == [1]:
                await a_minute_later()
            await service.stub.Chat(chat(), metadata=credentials)

        assert alerts(service) == ["key_source_unavailable", "key_source_back"]
        assert in_use(service) == [1, 2]
        assert sent_with(sandbox) == {OLD.name, NEW.name}
        await shelf.close()


async def test_a_key_that_comes_after_the_start_is_found(tmp_path: Path, bao: Bao) -> None:
    shelf = BaoShelf(bao, tmp_path)
    async with (
        service_of(tmp_path, bao, shelf) as (service, sandbox, access_key),
        Traffic(service.channel, access_key) as traffic,
    ):
        refusal = await traffic.refused("COHERE_KEY_MISSING")
        assert COHERE_KEYS[0] not in str(refusal)
        await shelf.put(OLD.secret)
        async with asyncio.timeout(5):
            await traffic.answered(5)

        assert sent_with(sandbox) == {OLD.name}
    await shelf.close()
