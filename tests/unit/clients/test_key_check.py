"""The check of keys against the sandbox, and against answers that Cohere should never give."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from yarl import URL

from clients.breaker import Refusal
from clients.key_check import KeyChecker
from clients.key_verdict import KeyCause, KeyState, KeyVerdict
from clients.sandbox import Fault, Sandbox
from clients.sandbox.keys import Key
from clients.sandbox.keys import KeyState as SandboxState
from clients.secrets.key_source import Secret
from tests.identity.canaries import canary, hits

GOOD = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9n"


@pytest.fixture
async def checker() -> AsyncIterator[KeyChecker]:
    checker = KeyChecker(timeout_s=2.0)
    yield checker
    checker.close()


@pytest.fixture
async def sandbox() -> AsyncIterator[tuple[Sandbox, URL]]:
    sandbox = Sandbox()
    async with sandbox.serve() as url:
        yield sandbox, URL(url)


@contextlib.asynccontextmanager
async def upstream(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[URL]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = web.AppRunner(app, shutdown_timeout=0.1)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    try:
        yield URL(f"http://127.0.0.1:{server.addresses[0][1]}")
    finally:
        await server.cleanup()


async def test_a_good_key_is_told_with_its_organisation_and_all_its_models(
    checker: KeyChecker, sandbox: tuple[Sandbox, URL]
) -> None:
    sandbox[0].state.keys.add([Key("ours", GOOD, "organisation-7")])
    verdict = await checker.check(Secret(GOOD), sandbox[1])

    assert (verdict.state, verdict.cause, verdict.refusal) == (KeyState.GOOD, None, None)
    assert (verdict.organization_id, verdict.owner_id, verdict.trial) == (
        "organisation-7",
        "organisation-7-owner",
        False,
    )
    assert verdict.models is not None
    assert {endpoint: len(names) > 5 for endpoint, names in verdict.models.items()} == dict.fromkeys(
        ("chat", "embed", "rerank"), True
    )
    assert "rerank-v3.5" in verdict.models["rerank"]


async def test_a_trial_key_is_known_by_its_headers(checker: KeyChecker, sandbox: tuple[Sandbox, URL]) -> None:
    assert (await checker.check(Secret("sandbox-trial"), sandbox[1])).trial


@pytest.mark.parametrize(
    ("value", "cause", "refusal"),
    [
        ("", KeyCause.NOT_SET, Refusal.REJECTED),
        (f'"{GOOD}"', KeyCause.MISTYPED, Refusal.REJECTED),
        (f"{GOOD}\n", KeyCause.MISTYPED, Refusal.REJECTED),
        (f"sk-{GOOD}", KeyCause.MISTYPED, Refusal.REJECTED),
        (GOOD, KeyCause.REJECTED, Refusal.REJECTED),
        (GOOD[:-1], KeyCause.MISTYPED, Refusal.REJECTED),
        ("sandbox-expired", KeyCause.MISTYPED, Refusal.REJECTED),
    ],
)
async def test_the_causes_of_a_refusal_are_told_apart(
    checker: KeyChecker, sandbox: tuple[Sandbox, URL], value: str, cause: KeyCause, refusal: Refusal
) -> None:
    verdict = await checker.check(Secret(value), sandbox[1])

    assert (verdict.state, verdict.cause, verdict.refusal) == (KeyState.REFUSED, cause, refusal)
    assert verdict.advice


async def test_what_is_no_cohere_key_is_not_sent_to_cohere(checker: KeyChecker, sandbox: tuple[Sandbox, URL]) -> None:
    for value in ("", f"sk-{GOOD}", f"Bearer {GOOD}", f"{GOOD}\r\nX-Other: 1", "vault:secret/data/cohere"):
        await checker.check(Secret(value), sandbox[1])

    assert not sandbox[0].state.requests.all()


@pytest.mark.parametrize(
    ("status", "state", "cause", "refusal"),
    [
        (401, KeyState.REFUSED, KeyCause.REJECTED, Refusal.REJECTED),
        (402, KeyState.REFUSED, KeyCause.UNPAID, Refusal.UNPAID),
        (403, KeyState.REFUSED, KeyCause.FORBIDDEN, None),
        *((status, KeyState.UNKNOWN, KeyCause.NOT_ASKED, None) for status in (400, 404, 429, 500, 501, 503, 302)),
    ],
)
@pytest.mark.parametrize("body", ["json", "html", "empty"])
async def test_every_status_of_the_check_means_something_and_nothing_is_retried(
    checker: KeyChecker,
    sandbox: tuple[Sandbox, URL],
    status: int,
    state: KeyState,
    cause: KeyCause,
    refusal: Refusal | None,
    body: str,
) -> None:
    sandbox[0].state.keys.add([Key("ours", GOOD, "ours")])
    sandbox[0].state.faults.add([Fault.model_validate({"status": status, "body": body, "message": GOOD})])
    verdict = await checker.check(Secret(GOOD), sandbox[1])

    assert (verdict.state, verdict.cause, verdict.refusal) == (state, cause, refusal)
    assert len(sandbox[0].state.requests.all()) == 1
    assert GOOD not in repr(verdict)


async def test_a_key_that_cohere_calls_not_valid_is_refused(checker: KeyChecker) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"valid": False})

    async with upstream(answer) as url:
        verdict = await checker.check(Secret(GOOD), url)
        short = await checker.check(Secret("short"), url)

    assert (verdict.cause, short.cause) == (KeyCause.REJECTED, KeyCause.MISTYPED)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"x"', b"{}", b'{"valid": "yes"}', b'{"valid": null}', b"{", b"\xff\xfe"]
)
async def test_an_answer_that_says_nothing_is_no_refusal(checker: KeyChecker, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with upstream(answer) as url:
        verdict = await checker.check(Secret(GOOD), url)

    assert (verdict.state, verdict.cause) == (KeyState.UNKNOWN, KeyCause.NOT_ASKED)


@pytest.mark.parametrize(
    "models",
    [
        {"status": 403}, {"status": 500}, {"body": []}, {"body": {"models": 7}}, {"body": {"models": [None, 7]}},
        {"body": {"models": [{"name": 7, "endpoints": "chat"}]}},
    ],
)  # fmt: skip
async def test_a_list_of_models_that_cannot_be_had_leaves_a_good_key_good(
    checker: KeyChecker, models: dict[str, object]
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v1/check-api-key":
            return web.json_response({"valid": True, "organization_id": "o", "owner_id": 7})
        return web.json_response(models.get("body"), status=int(str(models.get("status", 200))))

    async with upstream(answer) as url:
        verdict = await checker.check(Secret(GOOD), url)

    assert (verdict.state, verdict.organization_id, verdict.owner_id) == (KeyState.GOOD, "o", "")
    assert not any((verdict.models or {}).values())


@pytest.mark.parametrize("how", ["silent", "cut off"])
async def test_a_list_of_models_that_does_not_come_leaves_a_good_key_good(how: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v1/check-api-key":
            return web.json_response({"valid": True, "organization_id": "o"})
        if how == "silent":
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    quick = KeyChecker(timeout_s=1.0)
    async with upstream(answer) as url:
        verdict = await quick.check(Secret(GOOD), url)
    quick.close()

    assert (verdict.state, verdict.organization_id, verdict.models) == (KeyState.GOOD, "o", None)


async def test_pages_are_followed_to_their_end_and_no_further(checker: KeyChecker) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v1/check-api-key":
            return web.json_response({"valid": True})
        asked.append(page := request.query.get("page_token", "0"))
        model = {"name": f"model-{page}", "endpoints": ["chat", "classify"]}
        return web.json_response({"models": [model], "next_page_token": str(min(int(page) + 1, 3))})

    async with upstream(answer) as url:
        verdict = await checker.check(Secret(GOOD), url)

    assert verdict.models == {"chat": tuple(f"model-{page}" for page in range(4)), "embed": (), "rerank": ()}
    assert asked == ["0", "1", "2", "3"]


async def test_cohere_that_is_away_or_silent_is_no_refusal(sandbox: tuple[Sandbox, URL]) -> None:
    sandbox[0].state.faults.add([Fault(silence=True)])
    quick = KeyChecker(timeout_s=0.2)
    silent = await quick.check(Secret(GOOD), sandbox[1])
    away = await quick.check(Secret(GOOD), URL("http://127.0.0.1:1"))
    quick.close()

    assert silent.message == "Cohere did not answer the check within 0.2 s"
    assert away.message == "Cohere could not be asked: ConnectError"
    assert {silent.state, away.state} == {KeyState.UNKNOWN}


async def test_a_server_that_feeds_by_drops_ends_with_the_timeout() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(OSError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    quick = KeyChecker(timeout_s=0.3)
    async with upstream(answer) as url:
        async with asyncio.timeout(5):
            verdict = await quick.check(Secret(GOOD), url)
    quick.close()

    assert verdict.cause is KeyCause.NOT_ASKED


async def test_whoever_stops_waiting_stops_the_check_too(sandbox: tuple[Sandbox, URL], checker: KeyChecker) -> None:
    sandbox[0].state.faults.add([Fault(silence=True)])
    checking = asyncio.create_task(checker.check(Secret(GOOD), sandbox[1]))
    while not sandbox[0].state.requests.all():
        await asyncio.sleep(0.01)
    checking.cancel()
    await asyncio.wait({checking})

    assert checking.cancelled()


async def test_the_sdk_s_own_search_for_keys_and_addresses_is_not_used(
    checker: KeyChecker, sandbox: tuple[Sandbox, URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("CO_API_KEY", "sandbox-production"), ("CO_API_URL", "http://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"), ("ALL_PROXY", "http://127.0.0.1:1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    verdict = await checker.check(Secret(GOOD), sandbox[1])

    assert verdict.cause is KeyCause.REJECTED
    assert [request.path for request in sandbox[0].state.requests.all()] == ["/v1/check-api-key"]


async def test_no_trace_of_a_key_is_left_whatever_happens(
    sandbox: tuple[Sandbox, URL],
    checker: KeyChecker,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    secret, verdicts = canary(), list[KeyVerdict]()
    sandbox[0].state.keys.add([Key("ours", secret, f"of {secret}", SandboxState.ACTIVE)])
    for fault in (
        {}, *({"status": status, "message": f"bad {secret}"} for status in (400, 401, 402, 403, 404, 429, 500)),
        {"disconnect": True}, {"malformed": "syntax"}, {"malformed": "types"}, {"cut_after_bytes": 5},
    ):  # fmt: skip
        sandbox[0].state.faults.add([Fault.model_validate(fault)])
        verdicts.append(await checker.check(Secret(secret), sandbox[1]))
    for value in (f"sk-{secret}", f"'{secret}'", f"{secret}\n", f"Bearer {secret}", f"CO_API_KEY={secret}"):
        verdicts.append(await checker.check(Secret(value), sandbox[1]))
    written = capfd.readouterr()
    told = "".join(repr(verdict) for verdict in verdicts)

    sinks = {"verdicts": told, "log": caplog.text, "stdout": written.out, "stderr": written.err}
    assert hits({"key": secret}, {name: sink.encode() for name, sink in sinks.items()}) == []


def test_the_sdk_is_not_imported_before_a_key_is_checked() -> None:
    command = (
        "import sys, clients.key_check, service.server; sys.exit('cohere' in sys.modules or 'httpx' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", command], check=False, env=dict(os.environ)).returncode == 0
