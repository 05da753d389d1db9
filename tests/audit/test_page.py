"""What docs/audit.md shows is true: the hash by hand, and the grants."""

import json
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from service.books.chain import link
from service.books.verification.findings import INTACT, Finding
from service.books.verification.online import verify_database
from service.storage.errors import StorageError
from service.storage.migrate import migrate
from service.storage.postgres import PostgresDatabase
from tests.audit.made import Made
from tests.databases import Clock

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The only block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def test_the_records_on_the_page_are_chained() -> None:
    before, record = map(json.loads, block("json").splitlines())
    place = (record["writer_id"], record["seq"], record["kind"], record["call_id"], record["team"], record["at_us"])

    assert record["seq"] == before["seq"] + 1
    assert link(bytes.fromhex(before["hash"]), *place, record["body"].encode()).hex() == record["hash"]


def test_the_program_on_the_page_computes_the_hash(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").write_text(block("json"))
    (tmp_path / "by_hand.py").write_text(block("python"))
    ended = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "by_hand.py"], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    assert ended.stdout.strip() == json.loads(block("json").splitlines()[1])["hash"]
    assert f"It prints `{ended.stdout.strip()}`" in PAGE


@pytest.fixture
async def as_role(postgres_url: str, clock: Clock) -> AsyncIterator[PostgresDatabase]:
    """The database as the role that has the page's grants and no other."""
    role = f"cohort_{uuid.uuid4().hex}"
    owner = await asyncpg.connect(postgres_url)
    await owner.execute(f"CREATE ROLE {role} LOGIN")
    await owner.execute(block("sql").replace("TO cohort;", f"TO {role};"))
    clock.governs(postgres_url)
    database = PostgresDatabase(postgres_url.replace("postgres@", f"{role}@"))
    await database.open()
    yield database
    await database.close()
    await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await owner.close()


async def test_the_grants_on_the_page_are_enough_to_serve(
    as_role: PostgresDatabase, tmp_path: Path, clock: Clock
) -> None:
    assert await migrate(as_role) == 0
    made = Made(as_role, tmp_path, clock.shift)
    await made.write()
    findings: list[Finding] = []
    with made.file.open("rb") as lines:
        report = await verify_database(as_role, {"outside": lines}, [made.key.public], findings.append)

    assert (report.exit_code, findings) == (INTACT, [])


@pytest.mark.parametrize("table", ["audit", "checkpoint", "price_book", "budget_adjust"])
async def test_the_grants_on_the_page_leave_records_as_they_are(table: str, as_role: PostgresDatabase) -> None:
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET at_us = 0", f"TRUNCATE {table}"):
        with pytest.raises(StorageError, match="permission denied"):
            await as_role.transact(lambda tx, statement=statement: tx.fetch(statement))  # type: ignore[misc]
