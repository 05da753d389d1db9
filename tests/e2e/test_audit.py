"""What a real service writes verifies clean, while it serves and afterwards, whatever its callers did."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from cohort.v1 import audit_pb2
from cohort.v1.audit_pb2 import ListAuditRecordsRequest, ListAuditRecordsResponse
from cohort.v1.budget_pb2 import AdjustBudgetRequest, SetTeamFrozenRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from service import config
from service.audit_keys import signing_key_of
from service.books.signing import SigningKey
from service.books.verification.findings import INTACT, Finding, Report
from service.books.verification.online import verify_database
from service.cli import main
from service.money import money_of
from service.storage.opening import open_database
from tests.e2e.cohort_service import Cohort, cohort
from tests.e2e.requests import chat, embed, refused, rerank, until

PROMPT = "Why is the sea salty?"
FAULTS: tuple[dict[str, object], ...] = (
    {"status": 400}, {"status": 429, "retry_after": 0}, {"status": 500}, {"status": 503}, {"status": 503, "times": 3},
    {"usage": "missing"}, {"usage": "huge"}, {"disconnect": True}, {"reset": True}, {"malformed": "syntax"},
)  # fmt: skip
"""Some are tried again, of some the bill is not known."""


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    return "sqlite:cohort.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path, database=database_url) as running:
        yield running


async def everything(service: Cohort) -> None:
    """Calls of every kind, and of every end."""
    stub, mine, admin = service.stub, service.credentials, service.key("admin")
    await asyncio.gather(*(stub.Chat(chat(PROMPT), metadata=mine) for _ in range(5)))
    async for _ in stub.ChatStream(chat(), metadata=mine):
        pass
    await stub.Embed(embed("one", "two"), metadata=mine)
    await stub.Rerank(rerank(), metadata=mine)
    await stub.GetUsage(GetUsageRequest(), metadata=service.key("narrow"))
    for metadata in [(), (("x-api-key", "wrong"),), service.key("expired"), service.key("narrow")]:
        await refused(stub.Chat(chat(), metadata=metadata))
    await asyncio.gather(*(refused(stub.Chat(chat(), metadata=(("x-api-key", "wrong"),))) for _ in range(30)))
    await refused(stub.Chat(chat(model="unknown"), metadata=mine))
    await refused(stub.Chat(chat(temperature=-1), metadata=mine))
    for fault in FAULTS:
        service.fault(**fault)
        with contextlib.suppress(grpc.aio.AioRpcError):
            await stub.Chat(chat(), metadata=mine)
    by = {"team": "demo", "note": "invoice"}
    for nanos in (5_000_000, -1_000_000):
        request = AdjustBudgetRequest(amount=money_of(nanos), request_id=f"adjust{nanos}", **by)
        await service.admin.AdjustBudget(request, metadata=admin)
    await service.admin.SetTeamFrozen(SetTeamFrozenRequest(frozen=True, **by), metadata=admin)
    await refused(stub.Chat(chat(), metadata=mine))
    await service.admin.SetTeamFrozen(SetTeamFrozenRequest(frozen=False, **by), metadata=admin)
    leaving = stub.ChatStream(chat(), metadata=mine)
    with contextlib.suppress(asyncio.CancelledError):
        await leaving.read()
        leaving.cancel()
        await leaving.code()
    await refused(stub.Chat(chat(), metadata=mine, timeout=0.11))


async def verified(service: Cohort) -> tuple[Report, list[Finding]]:
    """Beside the running service, as `cohort audit verify` does."""
    loaded = config.load(service.config_file)
    findings: list[Finding] = []
    outside = service.folder / "checkpoints.jsonl"
    lines = outside.read_bytes().splitlines(keepends=True)
    database = await open_database(loaded.database_url(), read_only=True)
    try:
        key = SigningKey(signing_key_of(loaded)).public
        return await verify_database(database, {"outside": lines}, [key], findings.append), findings
    finally:
        await database.close()


async def test_the_books_of_a_service_verify_while_it_serves(service: Cohort) -> None:
    await until((service.folder / "checkpoints.jsonl").exists)
    await everything(service)
    report, findings = await verified(service)

    assert findings == []
    assert report.exit_code == INTACT
    assert report.counted["records"] > 50


async def test_every_member_of_a_record_is_documented(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        await everything(service)
    database = await open_database(f"sqlite:{tmp_path}/cohort.db", read_only=True)
    rows = await database.read(lambda tx: tx.fetch("SELECT kind, body FROM audit"))
    await database.close()
    written: dict[str, set[str]] = {}
    for kind, text in rows:
        body = json.loads(text)
        name = body.pop("event") if kind == "notice" else kind
        written.setdefault(name, set()).update(body)
    page = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")
    documented = {
        name.strip("` "): set(re.findall("`([a-z_]+)`", says))
        for names, says in re.findall(r"^\| ([a-z_`, ]+) \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
        for name in names.split(",")
    }
    documented["unfrozen"] = documented["frozen"]
    written["outcome"].add("upstream_fault")  # of a Cohere that cannot be connected to
    for kind in ("intent", "answer"):
        written[kind].add("actors")  # of a token that was exchanged
    written["answer"].add("corrects")  # of a deadline that passes at the very end

    assert written == {name: documented[name] for name in written}


async def test_the_books_of_a_stopped_service_verify_to_the_last_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with cohort(tmp_path) as service:
        await everything(service)
    code = await asyncio.to_thread(main, ["audit", "verify", "--config", str(tmp_path / "cohort.toml"), "--json"])
    verdict = json.loads(capsys.readouterr().out.splitlines()[-1])
    last = json.loads((tmp_path / "checkpoints.jsonl").read_text().splitlines()[-1])
    heads = json.loads(last["body"])["heads"]

    assert (code, verdict["verdict"], verdict["found"]) == (0, "intact", {})
    assert sum(seq + 1 for _, seq, _ in heads) == verdict["counted"]["records"]


async def test_a_prompt_is_found_by_its_hash(service: Cohort, capsys: pytest.CaptureFixture[str]) -> None:
    await service.stub.Chat(chat(PROMPT), metadata=service.credentials)
    await service.stub.Chat(chat("another"), metadata=service.credentials)
    prompt = service.folder / "prompt"
    prompt.write_text(PROMPT)
    argv = ["audit", "hash", str(prompt), "--config", str(service.config_file)]
    code = await asyncio.to_thread(main, argv)
    digest = capsys.readouterr().out.strip()
    request = ListAuditRecordsRequest(kind=audit_pb2.AUDIT_RECORD_KIND_INTENT)
    listed: ListAuditRecordsResponse = await service.admin.ListAuditRecords(request, metadata=service.key("admin"))
    texts = [json.loads(record.body_json)["request"]["texts"] for record in listed.records]

    assert code == 0
    assert [digest in each for each in texts] == [True, False]
