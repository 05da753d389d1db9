"""The database fails under traffic: nothing acknowledged is lost, callers are told, and it heals by itself."""

import asyncio
import contextlib
import functools
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from clients.sandbox import Sandbox
from service.money import nanos_of
from service.storage import opening
from service.storage.sqlite import SqliteDatabase
from tests.books_facts import Facts, facts_of
from tests.e2e.cohort_service import Cohort, cohort, team_lines
from tests.e2e.requests import until
from tests.e2e.traffic import Traffic
from tests.key_tables import access_key_lines
from tests.postgres_server import PostgresServer, postgres_server

HEALED_S = 2.0
SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)


@pytest.fixture(scope="module")
def frail_postgres() -> Iterator[PostgresServer]:
    """A server of these tests' own, to be hurt."""
    with postgres_server() as server:
        yield server


@pytest.fixture
async def frail_url(frail_postgres: PostgresServer) -> str:
    name = f"frail_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(frail_postgres.url("postgres"))
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    return frail_postgres.url(name)


async def health(service: Cohort) -> int:
    stub: Any = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest())
    return int(answer.status)


async def until_health(service: Cohort, status: int) -> None:
    while await health(service) != status:
        await asyncio.sleep(0.01)


async def until_healed(service: Cohort, traffic: Traffic) -> float:
    """Waits for an answer and for good health; returns how many seconds it took."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await traffic.answered()
    await until_health(service, SERVING)
    return loop.time() - began_s


async def require_nothing_lost(service: Cohort, *traffics: Traffic, sandbox: Sandbox | None = None) -> Facts:
    """Every answer has its outcome and its charge, and the ledger is what Cohere bills."""
    await until(lambda: not service.service.kept.committer.waiting)
    facts = await facts_of(service.service.kept.database)
    bill = (sandbox or service.sandbox).state.bill
    outcomes = {record.call_id: record.body for record in facts.records if record.kind == "outcome"}

    assert facts.problems() == []
    for traffic in traffics:
        for answer in traffic.answers:
            outcome = outcomes[answer.receipt.call_id]
            assert (outcome["code"], outcome["charge_nanos"]) == ("OK", nanos_of(answer.receipt.cost))
    assert {hold.state for hold in facts.holds} <= {"settled", "void"}
    assert sum(facts.committed.values()) == bill.cost_nanos("sandbox-production")
    return facts


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_postgres_loses_nothing_and_heals(
    frail_postgres: PostgresServer, frail_url: str, tmp_path: Path, mode: Any
) -> None:
    async with cohort(tmp_path, database=frail_url) as service:
        async with Traffic(service.channel, service.access_key) as traffic:
            await traffic.answered(20)
            await asyncio.to_thread(frail_postgres.stop, mode)
            refusal = await traffic.refused("BOOKS_UNAVAILABLE")
            await until_health(service, NOT_SERVING)
            await asyncio.to_thread(frail_postgres.start)
            healed_s = await until_healed(service, traffic)
            await traffic.answered(20)
        print(f"healed {healed_s:.2f} s after PostgreSQL was back")

        assert refusal.retry_s == 1
        assert healed_s <= HEALED_S
        assert {refusal.reason for refusal in traffic.refusals} == {"BOOKS_UNAVAILABLE"}
        await require_nothing_lost(service, traffic)


@pytest.mark.parametrize("pause_s", [1.0, pytest.param(8.0, marks=pytest.mark.prove)])
async def test_a_postgres_that_hangs_holds_calls_up_until_it_goes_on(
    frail_postgres: PostgresServer, frail_url: str, tmp_path: Path, pause_s: float
) -> None:
    async with cohort(tmp_path, database=frail_url) as service:
        async with Traffic(service.channel, service.access_key) as traffic:
            await traffic.answered(20)
            with frail_postgres.paused():
                answered = len(traffic.answers)
                await asyncio.sleep(pause_s)
                assert len(traffic.answers) <= answered + 8  # whose records were durable by then
            healed_s = await until_healed(service, traffic)
            await traffic.answered(20)
        print(f"healed {healed_s:.2f} s after PostgreSQL went on, {len(traffic.refusals)} calls refused")

        assert healed_s <= HEALED_S
        assert {refusal.reason for refusal in traffic.refusals} <= {"BOOKS_UNAVAILABLE"}
        assert bool(traffic.refusals) == (pause_s > 5)
        await require_nothing_lost(service, traffic)


async def test_a_slow_postgres_writes_many_records_at_once(frail_url: str, tmp_path: Path) -> None:
    async with cohort(tmp_path, database=frail_url) as service:
        admin = await asyncpg.connect(frail_url)
        await admin.execute(
            "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$"
        )
        await admin.execute("CREATE TRIGGER slow AFTER UPDATE ON audit_writer EXECUTE FUNCTION slowly()")
        await admin.close()
        async with Traffic(service.channel, service.access_key, callers=30) as traffic:
            await traffic.answered(90)
        facts = await require_nothing_lost(service, traffic)
        commits = len({record.at_us for record in facts.records})
        print(f"{len(facts.records)} records in {commits} commits of 0.1 s")

        assert traffic.refusals == []
        assert commits * 5 < len(facts.records)


@contextlib.asynccontextmanager
async def two_teams(folder: Path, database: str) -> AsyncIterator[tuple[Cohort, Sandbox, str]]:
    """A service of the teams demo and calm, their Cohere, and calm's access key."""
    access_key, key_lines = access_key_lines("calm", "tests", ["chat"])
    (folder / "calm.key").write_text("sandbox-production")
    sandbox = Sandbox()
    async with (
        sandbox.serve() as url,
        cohort(folder, database=database, base_url=url, more=team_lines("calm", url) + key_lines) as service,
    ):
        yield service, sandbox, access_key


@contextlib.asynccontextmanager
async def locked(url: str, budget_id: str) -> AsyncIterator[None]:
    """Another session keeps a budget's rows to itself, as a stopped replica would."""
    session = await asyncpg.connect(url)
    try:
        async with session.transaction():
            await session.execute("SELECT 1 FROM budget_period WHERE budget_id = $1 FOR UPDATE", budget_id)
            yield
    finally:
        await session.close()


async def test_a_locked_budget_is_its_own_team_s_trouble(frail_url: str, tmp_path: Path) -> None:
    async with two_teams(tmp_path, frail_url) as (service, sandbox, calm_key):
        async with Traffic(service.channel, service.access_key) as demo, Traffic(service.channel, calm_key) as calm:
            await demo.answered(8)
            await calm.answered(8)
            calm.longest_s = 0.0
            async with locked(frail_url, "demo"):
                refusal = await demo.refused("BOOKS_UNAVAILABLE")
                for _ in range(3):
                    await demo.refused("BOOKS_UNAVAILABLE")
                    await calm.answered(8)
            healed_s = await until_healed(service, demo)
        print(f"longest call of another team {calm.longest_s:.2f} s, healed {healed_s:.2f} s after the lock was gone")

        assert dict(refusal.info.metadata) == {"budget": "demo"}
        assert calm.refusals == []
        assert calm.longest_s < 1.0
        assert healed_s <= HEALED_S
        await require_nothing_lost(service, demo, calm, sandbox=sandbox)


class _FullDisk(apsw.VFS):
    """SQLite's own way to files, until the disk is full."""

    def __init__(self) -> None:
        self.name = f"full-{uuid.uuid4().hex}"
        self.is_full = False
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "_FullDiskFile":
        return _FullDiskFile(self, name, flags)


class _FullDiskFile(apsw.VFSFile):
    def __init__(self, disk: _FullDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: Any, offset: int) -> None:
        if self._disk.is_full:
            raise apsw.FullError("no space left")
        super().xWrite(data, offset)


async def test_a_full_disk_refuses_calls_until_there_is_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _FullDisk()
    monkeypatch.setattr(opening, "SqliteDatabase", functools.partial(SqliteDatabase, vfs=disk.name))
    async with cohort(tmp_path) as service:
        async with Traffic(service.channel, service.access_key) as traffic:
            await traffic.answered(20)
            disk.is_full = True
            refusal = await traffic.refused("BOOKS_UNAVAILABLE")
            await until_health(service, NOT_SERVING)
            answered = len(traffic.answers)
            await traffic.refused("BOOKS_UNAVAILABLE")
            assert len(traffic.answers) == answered
            disk.is_full = False
            healed_s = await until_healed(service, traffic)
            await traffic.answered(20)
        print(f"healed {healed_s:.2f} s after there was space")

        assert refusal.retry_s == 1
        assert healed_s <= HEALED_S
        await require_nothing_lost(service, traffic)
    assert apsw.Connection(str(tmp_path / "cohort.db")).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
