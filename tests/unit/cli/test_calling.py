from pathlib import Path

import grpc
import pytest

from cohort.client import CohortError, Violation
from service.cli import calling
from service.cli.commands import CommandFailed
from service.cli.main import parser


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("COHORT_ACCESS_KEY", raising=False)


def key_file(path: Path, access_key: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{access_key}\n")
    return path


def failure(*argv: str) -> CommandFailed:
    with pytest.raises(CommandFailed) as failed, calling.caller(parser().parse_args(["call", "chat", "Hi", *argv])):
        pass
    return failed.value


def test_without_an_access_key_nobody_is_called() -> None:
    failed = failure()

    assert "COHORT_ACCESS_KEY" in str(failed)
    assert failed.exit_code == 2


def test_an_access_key_file_that_cannot_be_read_is_named() -> None:
    assert "gone" in str(failure("--access-key-file", "gone"))


def test_an_access_key_that_cannot_be_metadata_is_refused_without_showing_it(tmp_path: Path) -> None:
    path = key_file(tmp_path / "key", "two\nlines")

    failed = failure("--access-key-file", str(path))

    assert failed.exit_code == 2
    assert "two" not in str(failed)


@pytest.mark.parametrize("target", ["10.0.0.1:50051", "cohort.example.com:443", "[2001:db8::1]:50051"])
def test_the_access_key_does_not_leave_the_machine_in_clear(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_ACCESS_KEY", "key")

    assert "--plaintext-off-loopback" in str(failure("--target", target))


@pytest.mark.parametrize(
    "flags",
    [
        ["--target", "10.0.0.1:50051", "--plaintext-off-loopback"],
        ["--target", "cohort.example.com:443", "--tls"],
        ["--target", "localhost:50051"],
        ["--target", "[::1]:50051"],
    ],
    ids=" ".join,
)
def test_a_channel_is_opened_where_that_is_safe_or_wanted(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_ACCESS_KEY", "key")

    with calling.caller(parser().parse_args(["call", "chat", "Hi", *flags])) as caller:
        assert caller.timeout_s == 300


def test_a_ca_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COHORT_ACCESS_KEY", "key")

    assert "gone.pem" in str(failure("--ca-file", "gone.pem"))


def test_a_failed_call_is_told_with_all_that_is_known() -> None:
    told = calling.told(
        CohortError(
            code=grpc.StatusCode.INVALID_ARGUMENT,
            message="k: must be from 0 to 500",
            reason="REQUEST_INVALID",
            violations=(
                Violation("k", "OUT_OF_RANGE", "must be from 0 to 500"),
                Violation("p", "OUT_OF_RANGE", "must be\x1b[2J small"),
            ),
            retry_after_s=1.5,
            call_id="call-1",
        )
    )

    assert told.splitlines() == [
        "REQUEST_INVALID (INVALID_ARGUMENT): k: must be from 0 to 500",
        "  k: must be from 0 to 500 (OUT_OF_RANGE)",
        "  p: must be\ufffd[2J small (OUT_OF_RANGE)",
        "  retry after 1.5 s",
        "  call call-1",
    ]


def test_a_violation_that_only_repeats_the_message_is_not_told_twice() -> None:
    failed = CohortError(
        grpc.StatusCode.PERMISSION_DENIED, "no", "MODEL_NOT_ALLOWED", violations=(Violation("model", "X", "no"),)
    )

    assert calling.told(failed) == "MODEL_NOT_ALLOWED (PERMISSION_DENIED): no"


def test_a_failure_that_is_not_the_services_is_told_by_its_code() -> None:
    assert calling.told(CohortError(grpc.StatusCode.UNAVAILABLE, "refused")) == "UNAVAILABLE: refused"
