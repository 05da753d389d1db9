"""Real processes, killed, paused and cut off from each other: no budget is overspent and nothing acknowledged is lost.

What happens follows from a seed, as far as real processes can; a run prints it, and its figures.
"""

import asyncio
import contextlib
import os
import random
import subprocess
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from statistics import median

import aiohttp
import pytest

from service import config
from service.audit_keys import audit_keys_of
from service.books.content import ContentHasher
from service.money import nanos_of_usd, usd_of
from service.storage.opening import open_database
from tests.books_facts import facts_of
from tests.e2e.processes import COMMAND, environment
from tests.postgres_server import PostgresServer, postgres_server
from tests.torture.chaos import CRASH_S, Chaos, Toll
from tests.torture.fleet import Fleet
from tests.torture.load import Journal, Load
from tests.torture.reckoning import Reckoning, bill_of, forfeit_all

SECONDS = int(os.environ.get("TORTURE_SECONDS", "60"))
SEED = int(os.environ.get("TORTURE_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
PATIENCE_S = 240
RECOVERED_S = 5.0
CALLERS = 24
EXPECTED = {"books unavailable"}
"""What replicas may complain of: the database is away now and then."""


def budgets_usd(seconds: float) -> dict[str, str]:
    """One budget that is spent soon, one that lasts for about half of the time, one that lasts."""
    return {"small": "0.02", "middle": f"{seconds / 200:.3f}", "large": "1000"}


@contextlib.asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[None]:
    """Starts everything, and makes sure of its end."""
    try:
        fleet.sandbox.start()
        keys = [{"key": f"torture-{team.name}", "name": team.name} for team in fleet.teams]
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    (await http.post(f"{fleet.sandbox_url}/sandbox/keys", json={"keys": keys})).raise_for_status()
                    break
                await asyncio.sleep(0.05)
        for replica in fleet.replicas:
            await replica.started()
        yield
    finally:
        fleet.close()


async def tortured(
    fleet: Fleet, postgres: PostgresServer | None, seconds: float, crash_s: tuple[float, float] = CRASH_S
) -> tuple[Journal, Toll]:
    """Lets the load and the chaos go on for a while, then brings everything to rest."""
    async with running(fleet):
        async with Load(fleet, SEED, CALLERS) as load:
            async with Chaos(fleet, load, postgres, SEED, crash_s) as chaos:
                await asyncio.sleep(seconds)
            await load.answered()
        codes = await asyncio.gather(*(asyncio.to_thread(replica.stop) for replica in fleet.replicas))
        assert set(codes) == {0}
    return load.journal, chaos.toll


async def reckoned(fleet: Fleet, journal: Journal) -> Reckoning:
    """Forfeits what the dead held, and compares; operators' own check of the books has to agree."""
    loaded = config.load(fleet.config_file)
    database = await open_database(loaded.database_url(), loaded.database_password())
    try:
        await forfeit_all(database)
        facts = await facts_of(database)
    finally:
        await database.close()
    reckoning = Reckoning(facts, bill_of(fleet.bill_file, ContentHasher(audit_keys_of(loaded).hmac_key)), journal)
    verified = await asyncio.to_thread(verify, fleet)
    if verified.returncode:
        reckoning.problems.append(f"cohort audit verify: {verified.stdout}{verified.stderr}")
    return reckoning


def verify(fleet: Fleet) -> "subprocess.CompletedProcess[str]":
    """Runs `cohort audit verify` with every replica's own file of checkpoints."""
    own, *others = [replica.folder / "checkpoints.jsonl" for replica in fleet.replicas]
    flags = [word for file in others if file.exists() for word in ("--checkpoints", str(file))]
    words = [*COMMAND, "audit", "verify", "--config", str(own.with_name("cohort.toml")), *flags]
    return subprocess.run(
        words, cwd=own.parent, env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def tell(fleet: Fleet, reckoning: Reckoning, toll: Toll, seconds: float) -> None:
    journal = reckoning.journal
    done = ", ".join(f"{count} {what}" for what, count in sorted(toll.done.items()))
    print(f"\nseed {SEED}, {len(fleet.replicas)} replicas, {seconds} s: {done}")
    print(f"calls {journal.calls}: {dict(journal.ends.most_common())}")
    for team in fleet.teams:
        limit, billed = nanos_of_usd(Decimal(team.budget_usd)), reckoning.billed(team.name)
        over, committed = max(0, billed - limit), reckoning.committed(team.name)
        print(
            f"{team.name}: limit {usd_of(limit)}, billed {usd_of(billed)}, committed {usd_of(committed)}, over {over}"
        )
    settled = sum(hold.state == "settled" for hold in reckoning.facts.holds)
    print(f"attempts billed {len(reckoning.bill)}, settled {settled}, unresolved {len(reckoning.unresolved)}:")
    for hold, truth in reckoning.unresolved:
        print(f"  {hold.call_id}/{hold.attempt} {hold.team} holds {hold.hold_nanos}, cost {truth}")
    restarts = f"replicas serve again after {median(toll.restarts_s):.1f} s, at most {max(toll.restarts_s):.1f} s"
    print(f"{restarts}; the database's return was felt after {max(toll.recoveries_s, default=0):.2f} s at most")


def require_well(fleet: Fleet, reckoning: Reckoning, toll: Toll) -> None:
    assert reckoning.problems == []
    for team in fleet.teams:
        assert reckoning.billed(team.name) <= nanos_of_usd(Decimal(team.budget_usd))
    assert reckoning.journal.ends["BUDGET_SPENT"]
    assert toll.done["kills"]
    # A machine that takes long to start a process takes long for all else.
    assert max(toll.recoveries_s, default=0) <= RECOVERED_S + median(toll.restarts_s)
    for replica in fleet.replicas:
        assert {line["event"] for line in replica.lines() if line.get("level") in {"error", "critical"}} <= EXPECTED
        assert "Traceback" not in replica.output


async def torture_on_postgres(
    folder: Path, replicas: int, seconds: float, crash_s: tuple[float, float] = CRASH_S
) -> None:
    with postgres_server(durable=True) as postgres:
        fleet = Fleet(folder, postgres.url("postgres"), replicas, budgets_usd(seconds))
        journal, toll = await tortured(fleet, postgres, seconds, crash_s)
        reckoning = await reckoned(fleet, journal)
        deadlocks = postgres.log().count("deadlock detected")
    tell(fleet, reckoning, toll, seconds)
    assert deadlocks == 0
    require_well(fleet, reckoning, toll)


async def torture_on_sqlite(folder: Path, seconds: float) -> None:
    fleet = Fleet(folder, "sqlite:cohort.db", 1, budgets_usd(seconds))
    journal, toll = await tortured(fleet, None, seconds)
    reckoning = await reckoned(fleet, journal)
    tell(fleet, reckoning, toll, seconds)
    require_well(fleet, reckoning, toll)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S)
async def test_two_replicas_on_postgres_overspend_nothing_and_lose_nothing(tmp_path: Path) -> None:
    await torture_on_postgres(tmp_path, replicas=2, seconds=4, crash_s=(1.5, 2.5))


@pytest.mark.prove
@pytest.mark.prove_short
@pytest.mark.timeout(SECONDS + PATIENCE_S)
async def test_six_replicas_on_postgres_overspend_nothing_and_lose_nothing(tmp_path: Path) -> None:
    await torture_on_postgres(tmp_path, replicas=6, seconds=SECONDS)


@pytest.mark.prove
@pytest.mark.prove_short
@pytest.mark.timeout(SECONDS + PATIENCE_S)
async def test_a_replica_on_sqlite_overspends_nothing_and_loses_nothing(tmp_path: Path) -> None:
    await torture_on_sqlite(tmp_path, seconds=SECONDS / 2)
