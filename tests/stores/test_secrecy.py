"""Neither a Cohere key nor what is shown to its store comes out of the service that reads it."""

import gc
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from clients.secrets.vault import Vault
from cohort.v1.team_pb2 import GetTeamRequest
from service.cli.check_keys import checked_keys, keys_json, keys_table
from tests.e2e.cohort_service import Cohort
from tests.identity import sinks
from tests.identity.canaries import canary, hits
from tests.stores.bao import ROOT_TOKEN, Bao, BaoShelf
from tests.stores.test_in_the_service import OLD, service_of, until

UNKNOWN = canary()
"""A value that Cohere refuses."""


def problem_of(service: Cohort) -> str:
    return service.service.reloader.snapshot.clients["search"].keys.problem


def tokens() -> dict[str, str]:
    """Those that logins gave us."""
    given = (str(each._client.token) for each in gc.get_objects() if isinstance(each, Vault))
    return {f"token {number}": token for number, token in enumerate(given) if token}


def metrics_of(service: Cohort) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.service.metrics_port}/metrics") as answer:
        content: bytes = answer.read()
        return content


async def told(service: Cohort) -> bytes:
    """What operators are shown while the service runs."""
    checked = await checked_keys(service.service.reloader.snapshot)
    answer = await service.admin.GetTeam(GetTeamRequest(team="search"), metadata=service.key("admin"))
    return "\n".join((keys_table(checked), keys_json(checked), str(answer), repr(checked))).encode()


async def test_neither_a_key_nor_a_login_is_shown(tmp_path: Path, bao: Bao, capfd: pytest.CaptureFixture[str]) -> None:
    shelf = BaoShelf(bao, tmp_path)
    await shelf.put(OLD.secret)

    async def nothing() -> object:
        return None

    async def unknown() -> object:
        return await shelf.put(UNKNOWN)

    async def ended() -> object:
        shelf.end_logins()
        shelf.secret_id_file.write_text(canary())
        return None

    stages: list[tuple[Callable[[], Awaitable[object]], str]] = [
        (nothing, ""), (unknown, "which failed"), (shelf.bar, "may not read it"), (ended, "the login is refused"),
    ]  # fmt: skip
    found: dict[str, bytes] = {}
    secret = {"good": OLD.secret, "unknown": UNKNOWN, "secret id": shelf.secret_id, "root": ROOT_TOKEN}
    async with service_of(tmp_path, bao, shelf) as (service, _, _):
        await until(lambda: problem_of(service) == "")
        for act, problem in stages:
            await act()
            await until(lambda problem=problem: problem in problem_of(service))  # type: ignore[misc]
            secret |= {f"{name}, {problem}": token for name, token in tokens().items()}
            found[f"told, {problem}"] = await told(service)
            found[f"objects, {problem}"] = sinks.shown_objects()
        secret["another secret id"] = shelf.secret_id_file.read_text()
        found["metrics"] = metrics_of(service)
    await shelf.close()
    found |= {"log": service.log.getvalue(), "database": (tmp_path / "cohort.db").read_bytes()}
    found |= sinks.output(capfd)

    assert hits(secret, found) == []
    assert len([name for name in secret if name.startswith("token")]) >= 2
    assert all(problem.encode() in found[f"told, {problem}"] for _, problem in stages)
    assert all(b"vault:cohere/" in found[name] for name in found if name.startswith("told"))
