"""The search for secrets finds what a service would leak that is changed to leak it, in each place and shape."""

import base64
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from cohort.client import service_account
from service import call_records
from service.call import Call
from service.cli import keys_create
from service.cli.shown_once import show_once
from service.identity.authenticator import Authenticator
from service.identity.issuers.introspection import Introspection
from service.interceptors import audit, error
from service.telemetry import log
from service.telemetry.log import CallLog
from service.telemetry.metrics import Metrics
from tests.e2e import requests
from tests.identity import sinks
from tests.identity.canaries import Secrets, hits
from tests.identity.canary_calls import CHAT
from tests.identity.canary_commands import run_commands, terminal, told_by
from tests.identity.minters import Holder, bearer
from tests.identity.rpcs import RPCS, TEAM, Ended
from tests.identity.scene import Scene, scene

Leak = Callable[[pytest.MonkeyPatch, Callable[[str], str]], None]

ENCODED: dict[str, Callable[[str], str]] = {
    "raw": lambda text: text,
    "first half": lambda text: text[: len(text) // 2],
    "second half": lambda text: text[-(len(text) // 2) :],
    "base64": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "URL-encoded": lambda text: urllib.parse.quote(text, safe=""),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
}


def presented(call: Call) -> str:
    """The credential in a call's metadata; as it is too long for a log line, its last characters."""
    found = [str(value) for key, value in call.metadata if key == "authorization"]
    return found[0].removeprefix("Bearer ") if found else ""


def in_a_log_line(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    ended = CallLog.ended

    def leaking(self: CallLog, call: Call, outcome: Any) -> None:
        call.credential_problem = f"not accepted: {encoded(presented(call))}"
        ended(self, call, outcome)

    patch.setattr(CallLog, "ended", leaking)


def in_a_record(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    def leaking(call: Call, outcome: Any) -> Any:
        call.certificate = encoded(presented(call))
        note = call_records.answer_of(call, outcome)
        call.certificate = ""
        return note

    patch.setattr(audit, "answer_of", leaking)


def in_an_exception(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    async def leaking(_: Authenticator, credential: Any, *__: Any) -> Any:
        raise RuntimeError(f"what is {encoded(credential.value if credential else '')}?")

    patch.setattr(Authenticator, "principal_of", leaking)
    patch.setattr(log, "_shape_of", structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def in_the_locals_of_a_frame(patch: pytest.MonkeyPatch, _: Callable[[str], str]) -> None:
    async def failing(_: Authenticator, credential: Any, *__: Any) -> Any:
        value = credential.value if credential else ""
        raise RuntimeError(len(value))

    patch.setattr(Authenticator, "principal_of", failing)
    everything = structlog.tracebacks.ExceptionDictTransformer(show_locals=True, locals_max_string=10_000)
    patch.setattr(log, "_shape_of", everything)


def in_a_status(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    end_of = error._end_of

    def leaking(call: Call, raised: Exception, trailers: Any) -> Any:
        code, message, rest = end_of(call, raised, trailers)
        return code, f"{message}: {encoded(presented(call))}", rest

    patch.setattr(error, "_end_of", leaking)


def in_a_trailer(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    end_of = error._end_of

    def leaking(call: Call, raised: Exception, trailers: Any) -> Any:
        return end_of(call, raised, (*trailers, ("x-debug", encoded(presented(call)))))

    patch.setattr(error, "_end_of", leaking)


def in_a_metric_label(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
    ended = Metrics.call_ended

    def leaking(self: Metrics, call: Call, outcome: Any, seconds: float) -> None:
        self.alert_raised("refused_credentials", encoded(presented(call)))
        ended(self, call, outcome, seconds)

    patch.setattr(Metrics, "call_ended", leaking)


def on_a_stream(name: str) -> Leak:
    def mutation(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
        ended = Metrics.call_ended

        def leaking(self: Metrics, call: Call, outcome: Any, seconds: float) -> None:
            print(encoded(presented(call)), file=getattr(sys, name))
            ended(self, call, outcome, seconds)

        patch.setattr(Metrics, "call_ended", leaking)

    return mutation


def in_a_repr(patch: pytest.MonkeyPatch, _: Callable[[str], str]) -> None:
    """The header with which the issuer of opaque tokens is asked: the client's secret, encoded twice."""
    patch.setattr(Introspection, "__repr__", lambda self: f"<Introspection {self._authorization}>")


def in_the_repr_of_an_account(patch: pytest.MonkeyPatch, _: Callable[[str], str]) -> None:
    made = service_account.ServiceAccount.__init__

    def keeping(self: Any, members: Any) -> None:
        made(self, members)
        self.members = members

    patch.setattr(service_account.ServiceAccount, "__init__", keeping)
    patch.setattr(service_account.ServiceAccount, "__repr__", lambda self: f"<ServiceAccount {self.members!r}>")


def on_a_terminal(stream: str) -> Leak:
    """A new key shown once more than asked for."""

    def mutation(patch: pytest.MonkeyPatch, encoded: Callable[[str], str]) -> None:
        def leaking(secret: str, about: str) -> None:
            show_once(secret, about)
            print(encoded(secret.strip()), file=getattr(sys, stream))

        patch.setattr(keys_create, "show_once", leaking)

    return mutation


OF_CALLS: dict[str, tuple[Leak, str]] = {
    "a log line": (in_a_log_line, "log"),
    "a record": (in_a_record, "database"),
    "an exception": (in_an_exception, "log"),
    "the locals of a frame": (in_the_locals_of_a_frame, "log"),
    "a status": (in_a_status, "statuses"),
    "a trailer": (in_a_trailer, "statuses"),
    "a metric label": (in_a_metric_label, "metrics"),
    "stdout": (on_a_stream("stdout"), "stdout"),
    "stderr": (on_a_stream("stderr"), "stderr"),
    "a repr": (in_a_repr, "objects"),
}
OF_COMMANDS: dict[str, tuple[Leak, str]] = {
    "stdout of a command": (on_a_terminal("stdout"), "stdout of commands"),
    "stderr of a command": (on_a_terminal("stderr"), "stderr of commands"),
    "the repr of a service account": (in_the_repr_of_an_account, "objects"),
}


async def called(made: Scene, secrets: Secrets) -> list[Ended]:
    """One call that is let in, and some that are not."""
    valid = made.minters.access_key.mint(Holder(TEAM, "usage:read"))
    shown = [bearer(valid.metadata[0][1]), made.minters.oauth2_jwt.mint(Holder(TEAM, "chat", "expired"))]
    for number, each in enumerate(shown):
        secrets.add_presented(f"credential {number}", each)
    shown.append(bearer(secrets.texts["refresh token"]))
    return [await RPCS[CHAT].call(made.channel(), requests.chat(), each.metadata) for each in shown]


@pytest.mark.prove
@pytest.mark.prove_short
@pytest.mark.parametrize(
    ("where", "shape"),
    [*(("a log line", shape) for shape in ENCODED), *((where, "base64") for where in OF_CALLS), ("nowhere", "raw")],
)
async def test_a_credential_that_leaks_is_found(
    where: str, shape: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = Secrets()
    leak, sink = OF_CALLS.get(where, (None, ""))
    if leak is not None:
        leak(monkeypatch, ENCODED[shape])
    async with scene(tmp_path, client_secret=secrets.texts["client secret"]) as made:
        ended = await called(made, secrets)
        found = sinks.all_of(made, ended, await sinks.dumped(made.service.kept.books, "sqlite"))
    found |= {"log": made.log.getvalue(), **sinks.output(capfd)}

    seen = {hit.sink for hit in hits(secrets.values, found)}
    assert (sink in seen) if leak is not None else seen == set()


@pytest.mark.slow
@pytest.mark.parametrize(("where", "shape"), [*zip(OF_COMMANDS, ("raw", "second half", "raw"), strict=True)])
async def test_a_new_secret_that_a_command_shows_elsewhere_too_is_found(
    where: str, shape: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leak, sink = OF_COMMANDS[where]
    leak(monkeypatch, ENCODED[shape])
    secrets = Secrets()
    async with scene(tmp_path, client_secret=secrets.texts["client secret"]) as made:
        at = terminal(made, secrets, capfd, monkeypatch)
        await run_commands(at, monkeypatch)
        found = {"objects": sinks.shown_objects(), **told_by(at)}

    assert {hit.sink for hit in hits(secrets.values, found)} == {sink}
