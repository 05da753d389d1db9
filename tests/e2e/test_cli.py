"""`cohort call`, `serve` and `sandbox` against real servers: in this process, or as processes where it matters."""

import asyncio
import signal
import subprocess
import urllib.request
from pathlib import Path

import orjson
import pytest
import trustme

from service.cli import main
from service.cli.demo_folder import Addresses, opened
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.processes import COMMAND, ROOT, free_addresses, ran, started


async def call(service: Cohort, *argv: str) -> int:
    """Runs `cohort call` as the demo team's caller."""
    key_file = service.folder / "access_key"
    key_file.write_text(f"{service.access_key}\n")
    who = ["--target", service.target, "--access-key-file", str(key_file)]
    return await asyncio.to_thread(main, ["call", *argv, *who])


async def test_a_chat_streams_its_text_and_ends_with_usage_and_call_id(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await call(service, "chat", "Count to 5")
    captured = capsys.readouterr()
    (line,) = service.lines()

    assert code == 0
    assert captured.out.endswith("\n")
    assert "5" in captured.out
    assert captured.err.startswith("[COMPLETE | billed: ")
    assert captured.err.endswith(f"call {line['call_id']}]\n")
    assert line["rpc"] == "/cohort.v1.GatewayService/ChatStream"


async def test_an_unstreamed_chat_prints_the_same(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("chat", "Which river?", "--document", "The Don river crosses Toronto.", "--document", "Cats sleep.")

    await call(service, *argv)
    streamed = capsys.readouterr()
    await call(service, *argv, "--no-stream")
    whole = capsys.readouterr()

    assert whole.out == streamed.out
    assert whole.err.partition("[COMPLETE")[0] == streamed.err.partition("[COMPLETE")[0]
    assert "from doc:0]" in whole.err
    assert [line["rpc"] for line in service.lines()] == [
        "/cohort.v1.GatewayService/ChatStream",
        "/cohort.v1.GatewayService/Chat",
    ]


async def test_thinking_and_answer_are_kept_apart(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    await call(service, "chat", "Repeat after me: Hello", "--model", "command-a-reasoning-08-2025")
    captured = capsys.readouterr()

    assert captured.out == "Hello\n"
    assert len(captured.err.splitlines()) == 2


async def test_a_stream_as_json_is_one_event_a_line(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    code = await call(service, "chat", "Hi", "--output", "json")
    events = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert code == 0
    assert next(iter(events[0])) == "message_start"
    assert events[-1]["message_end"]["finish_reason"] == "COMPLETE"


async def test_embed_shows_a_line_for_each_text(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    code = await call(service, "embed", "a river", "a lake")
    captured = capsys.readouterr()

    assert code == 0
    assert [line.partition("…] ")[2] for line in captured.out.splitlines()] == [
        "1536 numbers  a river",
        "1536 numbers  a lake",
    ]
    assert captured.err.startswith("[billed: ")


async def test_rerank_shows_the_most_relevant_document_first(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    code = await call(service, "rerank", "salt sea", "--documents", "cats", "the salt of the sea", "--top-n", "1")
    (line,) = capsys.readouterr().out.splitlines()

    assert code == 0
    assert line.split(maxsplit=2)[1:] == ["1", "the salt of the sea"]


@pytest.mark.parametrize("argv", [("embed", "a"), ("rerank", "a", "--documents", "b")], ids=" ".join)
async def test_answers_as_json_hold_the_receipt(
    argv: tuple[str, ...], service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    await call(service, *argv, "--output", "json")
    (line,) = capsys.readouterr().out.splitlines()

    receipt = orjson.loads(line)["receipt"]
    assert receipt["call_id"] == service.lines()[0]["call_id"]
    assert receipt["cost"]["nanos"] > 0
    assert receipt["budget_remaining"]["currency_code"] == "USD"


async def test_a_refusal_names_every_violation_and_the_call(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    request = '{"model":"command-a-03-2025","temperature":7,"k":501,"messages":[{"role":"user","text":"Hi"}]}'

    code = await call(service, "chat", "--json", request)
    captured = capsys.readouterr()

    assert code == 1
    assert captured.out == ""
    assert captured.err.startswith("REQUEST_INVALID (INVALID_ARGUMENT): ")
    assert [line.strip().partition(":")[0] for line in captured.err.splitlines()[1:-1]] == ["temperature", "k"]
    assert captured.err.splitlines()[-1] == f"  call {service.lines()[0]['call_id']}"


async def test_a_rate_limit_tells_how_long_to_wait(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    service.fault(status=429, retry_after=30)

    code = await call(service, "chat", "Hi", "--no-stream")
    err = capsys.readouterr().err

    assert code == 1
    assert err.startswith("COHERE_RATE_LIMITED (RESOURCE_EXHAUSTED): ")
    assert "\n  retry after 30 s\n" in err


async def test_a_stream_that_breaks_keeps_its_text_and_ends_with_1(
    service: Cohort, capsys: pytest.CaptureFixture[str]
) -> None:
    service.fault(cut_after_events=4)

    code = await call(service, "chat", "Count to 20")
    captured = capsys.readouterr()

    assert code == 1
    assert captured.out.strip()
    assert captured.out.endswith("\n")
    assert captured.err.startswith("COHERE_CONNECTION_LOST (UNAVAILABLE): ")


async def test_nobody_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("key")
    (target,) = free_addresses(1)

    argv = ["call", "chat", "Hi", "--target", target, "--access-key-file", str(tmp_path / "key")]
    code = await asyncio.to_thread(main, argv)
    err = capsys.readouterr().err

    assert code == 1
    assert err.startswith("UNAVAILABLE: ")
    assert len(err.splitlines()) == 1


async def test_a_call_goes_over_tls_to_a_service_of_the_named_ca(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, other = trustme.CA(), trustme.CA()
    pair = ca.issue_cert("127.0.0.1", "localhost")
    pair.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    pair.private_key_pem.write_to_path(tmp_path / "server.key")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    tls = '[server.tls]\ncertificate_file = "server.crt"\nprivate_key_file = "server.key"'
    async with cohort(tmp_path, server=tls) as service:
        trusted = await call(service, "chat", "Repeat after me: Hello", "--ca-file", str(tmp_path / "ca.pem"))
        out = capsys.readouterr().out
        stranger = await call(service, "chat", "Hi", "--ca-file", str(tmp_path / "other.pem"))

        assert (trusted, out) == (0, "Hello\n")
        assert stranger == 1
        assert capsys.readouterr().err.startswith("UNAVAILABLE: ")


async def test_text_leaves_the_process_while_the_stream_runs_and_ctrl_c_ends_it(service: Cohort) -> None:
    service.fault(endless=True)
    (service.folder / ".cohort").mkdir()
    (service.folder / ".cohort" / "access_key").write_text(service.access_key)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "call", "chat", "Count to 9", "--target", service.target,
        cwd=service.folder,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'protos'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None

    first = await process.stdout.readexactly(1)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    service.sandbox.state.closing.set()

    assert first
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_serve_serves_reloads_and_ends_with_0(tmp_path: Path) -> None:
    listen, metrics = free_addresses(2)
    file = opened(tmp_path / "folder", Addresses(listen, metrics)).path / "cohort.toml"
    with started("serve", "--config", str(file), folder=tmp_path) as process:
        process.until('"event":"serving"')
        process.send(signal.SIGHUP)
        process.until('"event":"reloaded"')
        process.send(signal.SIGTERM)

        assert process.ended() == 0
        assert "Traceback" not in process.output


def test_serve_does_not_start_with_a_wrong_config_and_never_takes_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "cohort.toml").write_text('environment = "PROD"\n[teams.demo]\nmodels = []\n')

    done = ran([*COMMAND, "serve"], tmp_path, COHORT_CONFIG="cohort.toml")

    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        "environment",
        "audit",
        "teams.demo.cohere_key",
        "teams.demo.models",
        "teams.demo.max_tokens_per_call",
        "teams.demo.daily_budget_usd",
    ]


def test_the_sandbox_answers_and_ends_with_0(tmp_path: Path) -> None:
    (listen,) = free_addresses(1)
    with started("sandbox", "--listen", listen, folder=tmp_path) as process:
        process.until("sandbox-production")
        request = urllib.request.Request(
            f"http://{listen}/v1/check-api-key",
            method="POST",
            headers={"Authorization": "Bearer sandbox-production"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            valid = orjson.loads(answer.read())["valid"]
        busy = ran([*COMMAND, "sandbox", "--listen", listen], tmp_path)
        process.send(signal.SIGTERM)

        assert valid is True
        assert (busy.returncode, busy.stderr) == (2, f"{listen} cannot be bound: Address already in use\n")
        assert process.ended() == 0
