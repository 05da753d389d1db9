"""Strings meant for a database, a log or a terminal, in every place where a caller can write one: they stay strings."""

import asyncio
import time
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from service import cli
from service.books.books import Books
from service.cli import main
from service.config import LoadedConfig, load
from service.identity.scopes import ADMIN, SCOPES_OF_RPC
from service.storage.database import Transaction
from tests.identity.corpus import STRINGS, put, requests_with_strings
from tests.identity.injected import Shown, credentials, injected, noted
from tests.identity.minters import Holder
from tests.identity.rpcs import ENTRIES, RPCS, TEAM, Ended, narrowest
from tests.identity.scene import Scene, each_refusal_stands_alone, scene
from tests.identity.test_matrix import gathered

CLI = Path(cli.__file__).parent
FIELDS = requests_with_strings()
HARMLESS = {
    ("OK", ""),
    ("INVALID_ARGUMENT", "REQUEST_INVALID"),
    ("INVALID_ARGUMENT", "COHERE_REQUEST_REJECTED"),
    ("NOT_FOUND", "TEAM_UNKNOWN"),
    ("NOT_FOUND", "CREDENTIAL_UNKNOWN"),
    ("PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
    ("FAILED_PRECONDITION", "CREDENTIAL_NOT_ACTIVE"),  # one spare key is rotated, under every name
    ("ALREADY_EXISTS", "REQUEST_ID_REUSED"),
    ("FAILED_PRECONDITION", "KEY_SOURCE_READ_ONLY"),  # the team's key is not Cohort's to keep
}
RETRIES, RETRY_S = 3, 1.0
REFUSED = ("UNAUTHENTICATED", "CREDENTIAL_REJECTED")
NO_HANDSHAKE = ("UNAVAILABLE", "")
UNDECIDED = ("UNAVAILABLE", "CREDENTIAL_UNVERIFIABLE")
GET_TEAM = "/cohort.v1.AdminService/GetTeam"

_SCHEMAS = {
    "sqlite": "SELECT type, name, sql FROM sqlite_master ORDER BY type, name",
    "postgresql": "SELECT table_name, column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2",
}
_KEYS = "SELECT id, digest, team, name, scopes, models, revoked_at_us FROM access_key ORDER BY id"
_ACCOUNTS = "SELECT id, team, name, scopes, models, public_key, revoked_at_us FROM service_account ORDER BY id"
_FROZEN = "SELECT COUNT(*) FROM budget WHERE frozen_at_us > 0"


async def looked(books: Books, engine: str) -> dict[str, Any]:
    """What no string may have changed."""

    async def work(tx: Transaction) -> dict[str, Any]:
        return {
            "schema": await tx.fetch(_SCHEMAS[engine]),
            "keys": {row[0]: row for row in await tx.fetch(_KEYS)},
            "accounts": {row[0]: row for row in await tx.fetch(_ACCOUNTS)},
            "frozen": await tx.fetch(_FROZEN),
        }

    return await books.read(work)


async def answered(call: Callable[[], Awaitable[Ended]]) -> Ended:
    """How a call ends. A busy machine's database does not answer at times; what a string does comes again."""
    ended = await call()
    for _ in range(RETRIES):
        if ended.reason == "BOOKS_UNAVAILABLE":
            await asyncio.sleep(RETRY_S)
            ended = await call()
    return ended


async def calls_with_strings(made: Scene, every: int) -> list[tuple[str, Ended]]:
    """Strings in each field of each request, *every* so-manieth of them; says which, and how it ended."""

    async def one(path: str, way: Any, text: str) -> Ended:
        minter = made.minters.access_key
        scope = ADMIN if ADMIN in SCOPES_OF_RPC[path] else narrowest(path)
        request = ENTRIES[path].request(made)
        put(request, way, text)
        metadata = minter.mint(Holder(TEAM, scope)).metadata
        return await answered(lambda: RPCS[path].call(made.channel(), request, metadata))

    made.spares.extend(made.spares[1:2] * len(STRINGS) * 2)
    calls = [
        (path, way, text) for number, (path, way) in enumerate(FIELDS) for text in STRINGS[number % every :: every]
    ]
    results = await gathered([one(*call) for call in calls])
    names = [f"{path}: {'.'.join(field.name for field in way)} = {text!r}" for path, way, text in calls]
    return list(zip(names, results, strict=True))


async def calls_with_credentials(made: Scene) -> list[tuple[str, str, Ended]]:
    """Says what was shown, what has to come of it, and what did."""
    request = ENTRIES[GET_TEAM].request(made)

    async def one(shown: Shown) -> Ended:
        channel = shown.channel(made)
        try:
            return await answered(lambda: RPCS[GET_TEAM].call(channel, request, shown.presented.metadata))
        finally:
            if shown.agent:
                await channel.close()

    each = list(credentials(made))
    results = await gathered([one(shown) for shown in each])
    return [(repr(shown), shown.expected, result) for shown, result in zip(each, results, strict=True)]


async def run_with_notes(made: Scene, capfd: pytest.CaptureFixture[str]) -> str:
    """Each string as the note of each command that has one; gives all that they and `cohort audit list` print."""
    (made.folder / "ca.pem").write_bytes(made.authority.pem)
    ((_, operator),) = made.minters.access_key.mint(Holder(TEAM, ADMIN)).metadata
    (made.folder / "operator.key").write_text(operator)
    where = ("--target", f"localhost:{made.service.port}", "--ca-file", str(made.folder / "ca.pem"),
             "--access-key-file", str(made.folder / "operator.key"))  # fmt: skip
    account = made.minters.service_account.ids[TEAM, True]
    commands: dict[str, list[tuple[str, ...]]] = {
        "teams_freeze": [("teams", "freeze", "ads"), ("teams", "unfreeze", "ads")],
        "budget_adjust": [("budget", "adjust", TEAM, "--amount-usd", "0.01")],
        "keys_revoke": [("keys", "revoke", made.spares[0])],
        "service_accounts_revoke": [("service-accounts", "revoke", account)],
    }
    with_a_note = {file.stem for file in CLI.glob("*.py") if '"--note"' in file.read_text(encoding="utf-8")}
    assert set(commands) == with_a_note
    for text in STRINGS:
        for words in (words for each in commands.values() for words in each):
            ended = await asyncio.to_thread(main, [*words, f"--note={text}", *where])
            assert ended in {0, 1}, (words, text)
    for words in (("teams", "unfreeze", "ads", "--note=end"), ("audit", "list", "--team", TEAM, "--kind", "notice")):
        assert await asyncio.to_thread(main, [*words, *where]) == 0
    return "".join(capfd.readouterr())


def as_expected(expected: str, result: Ended) -> bool:
    ended = result[:2]
    match expected:
        case "OK":
            return ended == ("OK", "")
        case "refused":
            return ended in {REFUSED, UNDECIDED, NO_HANDSHAKE}
        case _:
            return ended in {("OK", ""), REFUSED, NO_HANDSHAKE}


def odd_characters(line: str) -> set[str]:
    """Characters that move a cursor, end a line or turn the direction of writing."""
    return {char for char in line if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.prove, pytest.mark.prove_short])])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return "sqlite:cohort.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "every", [pytest.param(1, id="all of them", marks=pytest.mark.prove), pytest.param(5, id="a fifth")]
)
async def test_strings_stay_strings(
    every: int,
    database_url: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    each_refusal_stands_alone(monkeypatch)
    read = noted(monkeypatch)
    engine = database_url.partition(":")[0]
    started_s = time.monotonic()
    async with scene(tmp_path, database=database_url) as made:
        before = await looked(made.service.kept.books, engine)
        fields = await calls_with_strings(made, every)
        shown = await calls_with_credentials(made)
        printed = await run_with_notes(made, capfd)
        after = await looked(made.service.kept.books, engine)
    written = made.log.getvalue().decode()
    codes = Counter(f"{result.code} {result.reason}".strip() for _, result in fields)
    figures = f"{len(FIELDS)} fields x {len(STRINGS) // every} strings, {len(shown)} credentials: {dict(codes)}"

    assert [(what, result) for what, result in fields if result[:2] not in HARMLESS] == []
    assert [(what, result[:2]) for what, expected, result in shown if not as_expected(expected, result)] == []
    assert read >= {"iss", "sub", "team", "scope", "kid", "org_id", "active"}
    assert read - injected() == set()
    assert after["schema"] == before["schema"]
    assert after["frozen"] == [(0,)]
    # One spare key is revoked on purpose; new ones were made wherever a request passed.
    changed = {key for key, row in before["keys"].items() if after["keys"].get(key) != row}
    assert changed <= set(made.spares[:1])
    assert before["accounts"].items() <= after["accounts"].items()
    lines = written.splitlines()
    assert written.count("\n") == len(lines) == len(made.lines())
    assert not [line for line in (*lines, *printed.split("\n")) if odd_characters(line)]
    loaded = load(made.folder / "cohort.toml")
    assert await verified(loaded) == 0
    with capfd.disabled():
        print(f"\ninjection on {engine}: {figures}, {len(lines)} log lines, {time.monotonic() - started_s:.1f} s")


async def verified(loaded: LoadedConfig) -> int:
    """What `cohort audit verify` ends with."""
    return await asyncio.to_thread(main, ["audit", "verify", "--config", str(loaded.file)])
