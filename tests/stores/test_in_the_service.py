"""A service whose team's key is kept in a real store: it is found, followed, and does without it for a while."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clients.sandbox import Sandbox
from clients.sandbox.keys import Key
from tests.e2e.cohort_service import Cohort, cohort, team_lines
from tests.e2e.traffic import Traffic
from tests.identity.canaries import hits
from tests.key_tables import access_key_lines
from tests.stores.bao import ROOT_TOKEN, Bao, BaoShelf, bao_server
from tests.stores.shelf import COHERE_KEYS

OLD, NEW, _ = (Key(f"version {number}", secret, "sandbox-organization") for number, secret in enumerate(COHERE_KEYS))


@contextlib.asynccontextmanager
async def service_of(folder: Path, bao: Bao, shelf: BaoShelf) -> AsyncIterator[tuple[Cohort, Sandbox, str]]:
    """A service with a team `search` whose key is in the Vault; gives its access key too."""
    access_key, key_lines = access_key_lines("search", "tests", ["chat"])
    assert bao.ca_file is not None
    secrets = (
        f'[secrets]\nrefresh_seconds = 0.5\n[secrets.vault]\naddress = "{bao.address}"\nca_file = "{bao.ca_file}"\n'
        f'auth = "approle"\nrole_id = "{shelf.role_id}"\nsecret_id = "file:{shelf.secret_id_file}"\n'
    )
    sandbox = Sandbox()
    sandbox.state.keys.add([OLD, NEW])
    async with sandbox.serve() as url:
        lines = team_lines("search", url).replace("file:search.key", shelf.source.reference)
        async with cohort(folder, base_url=url, more=f"{secrets}{lines}{key_lines}") as service:
            yield service, sandbox, access_key


def sent_with(sandbox: Sandbox) -> set[str]:
    return {request.key_name for request in sandbox.state.requests.all() if request.path == "/v2/chat"}


async def until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.02)


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
