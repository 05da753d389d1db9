"""`cohort rotate` against a running service: what it shows where, how it ends, and that no key passes by."""

import asyncio
import io
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from clients.sandbox.keys import Key
from service.rotation import follower
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.processes import started
from tests.e2e.test_operators import operate
from tests.e2e.test_rotate_key import HELD, KEK, NEW, STRANGER, add_keys, put


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cohort]:
    monkeypatch.setattr(follower, "INTERVAL_S", 3600.0)
    async with cohort(tmp_path) as running:
        add_keys(running)
        yield running


@pytest.fixture
async def holding(tmp_path: Path) -> AsyncIterator[Cohort]:
    (tmp_path / "kek").write_text(KEK)
    async with cohort(tmp_path, reference="held:", more=HELD) as running:
        running.sandbox.state.keys.add([Key("new", NEW, "sandbox-organization")])
        yield running


async def test_a_rotation_ends_in_a_table(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    put(service, NEW)
    code = await operate(service, "rotate", "demo", "--overlap", "2h", who="rotator")
    out, err = capsys.readouterr()

    headings, row = out.splitlines()
    assert code == 0
    assert headings.split() == ["TEAM", "ROTATION", "STATE", "CURRENT", "PREVIOUS", "KEPT", "UNTIL"]
    assert row.split()[0] == "demo"
    assert row.split()[2:5] == ["current", "2", "1"]
    assert "current: calls use the new version" in err


async def test_a_slow_rotation_is_shown_as_it_goes(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    service.fault(path="/v1/check-api-key", latency_ms=1500)
    put(service, NEW)
    code = await operate(service, "rotate", "demo", "--reload")
    lines = capsys.readouterr().err.splitlines()

    assert code == 0
    assert [line.split("] ")[1].split(":")[0] for line in lines] == ["staged", "current"]


async def test_who_interrupts_it_has_the_terminal_back_at_once(service: Cohort) -> None:
    service.fault(path="/v1/check-api-key", latency_ms=4500)
    put(service, NEW)
    access_key = service.access_keys["rotator"]
    command = ("rotate", "demo", "--target", service.target)
    with started(*command, folder=service.folder, COHORT_ACCESS_KEY=access_key) as process:
        await asyncio.to_thread(process.until, "staged")
        began_s = time.monotonic()
        process.send(signal.SIGINT)
        code = await asyncio.to_thread(process.ended)
        ended_s = time.monotonic()

    assert code == 130
    assert "it may go on all the same: look at it with --request-id" in process.output
    assert ended_s - began_s < 2.0


async def test_what_fails_says_why_and_what_to_do(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    put(service, STRANGER)
    code = await operate(service, "rotate", "demo")
    out, err = capsys.readouterr()

    assert code == 1
    assert out.splitlines()[1].split()[2:] == ["failed", "1", "-", "-"]
    assert "another organization" in err
    assert "Use a key of the team's own organization" in err


async def test_a_trial_run_changes_nothing(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    put(service, NEW)
    code = await operate(service, "rotate", "demo", "--validate-only")

    assert code == 0
    assert "verified (nothing was changed)  1  " in " ".join(capsys.readouterr().out.split(" "))
    put(service, STRANGER)
    assert await operate(service, "rotate", "demo", "--validate-only") == 1


async def test_nothing_new_is_said(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    assert await operate(service, "rotate", "demo") == 0
    assert "unchanged: the source holds the version in use" in capsys.readouterr().out


async def test_programs_get_the_answer_as_json(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    put(service, NEW)
    codes = [await operate(service, "rotate", "demo", "--json", "--request-id", "r1") for _ in range(2)]
    first, again = (orjson.loads(line)["rotation"] for line in capsys.readouterr().out.splitlines())

    assert codes == [0, 0]
    assert first["id"] == again["id"]
    assert first["state"] == "ROTATION_STATE_CURRENT"


async def test_a_key_is_given_in_a_file_or_on_stdin(
    holding: Cohort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = holding.folder / "new.key"
    file.write_text("sandbox-production\n")
    assert await operate(holding, "rotate", "demo", "--key-file", str(file)) == 0
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(f"{NEW}\n".encode())))
    assert await operate(holding, "rotate", "demo", "--key-file", "-") == 0
    out, err = capsys.readouterr()

    assert out.splitlines()[-1].split()[2:5] == ["current", "2", "1"]
    assert NEW not in out + err + holding.log.getvalue().decode()


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "empty"), (b"k" * 4097, "longer than 4096 bytes"), (b"\xff\xfe", "holds no text")]
)
async def test_a_file_that_holds_no_key_is_not_sent(
    holding: Cohort, capsys: pytest.CaptureFixture[str], content: bytes, problem: str
) -> None:
    file = holding.folder / "new.key"
    file.write_bytes(content)

    assert await operate(holding, "rotate", "demo", "--key-file", str(file)) == 2
    assert capsys.readouterr().err == f"--key-file: {problem}\n"


async def test_a_refusal_is_told(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    (service.folder / "new.key").write_text(NEW)

    assert await operate(service, "rotate", "demo", "--key-file", str(service.folder / "new.key")) == 1
    assert capsys.readouterr().err.startswith("KEY_SOURCE_READ_ONLY (FAILED_PRECONDITION): ")
    assert await operate(service, "rotate", "demo", who="narrow") == 1
    assert capsys.readouterr().err.startswith("SCOPE_MISSING (PERMISSION_DENIED): ")


@pytest.mark.parametrize("overlap", ["1", "1w", "-1s", "31d", "", "1.5h"])
async def test_an_overlap_is_a_time(service: Cohort, capsys: pytest.CaptureFixture[str], overlap: str) -> None:
    with pytest.raises(SystemExit) as ended:
        await operate(service, "rotate", "demo", f"--overlap={overlap}")

    assert ended.value.code == 2
    assert "is no time such as" in capsys.readouterr().err
