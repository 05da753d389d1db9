"""A million records, written by the real committer over simulated days, verify within a minute and in little memory."""

import asyncio
import itertools
import resource
import time
from pathlib import Path

import pytest

from service.books.verification.findings import INTACT, Finding
from service.books.verification.online import verify_database
from service.storage.migrate import migrate
from service.storage.sqlite import SqliteDatabase, wall_clock_us
from tests.audit.made import Made, Process

CALLS = 500_000
AT_ONCE = 500
PROCESSES = 5
DAYS = 10
SECONDS_MAX = 60
MEMORY_BYTES_MAX = 200 * 1024 * 1024


@pytest.mark.prove
@pytest.mark.timeout(1800)
async def test_a_million_records_verify_within_a_minute(tmp_path: Path) -> None:
    """A checkpoint follows every 500 calls, of which there are 1,000."""
    shift_us = 0

    async def shift(by_us: int) -> None:
        nonlocal shift_us
        shift_us += by_us

    database = SqliteDatabase(tmp_path / "books.db", clock_us=lambda: wall_clock_us() + shift_us)
    await database.open()
    await migrate(database)
    made = Made(database, tmp_path, shift)
    numbers = itertools.count(1)
    rounds = CALLS // AT_ONCE
    process = await Process.start(database, numbers)
    for number in range(rounds):
        if number and number % (rounds // PROCESSES) == 0:
            process = await Process.start(database, numbers)
        await asyncio.gather(*(process.call("search" if each % 3 else "support") for each in range(AT_ONCE)))
        await made.checkpoint()
        await shift(DAYS * 86_400_000_000 // rounds)
        await process.clock.follow(database.now_us())

    findings: list[Finding] = []
    memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_s = time.perf_counter()
    with made.file.open("rb") as lines:
        report = await verify_database(database, {"outside": lines}, [made.key.public], findings.append)
    took_s = time.perf_counter() - started_s
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before) * 1024
    await database.close()
    records = report.counted["records"]
    print(f"\n{records} records and {report.counted['checkpoints']} checkpoints verified in {took_s:.1f} s")
    print(f"{took_s / records * 1e6:.1f} µs a record, {grown_bytes / 2**20:.0f} MiB more memory at the most")

    assert findings == []
    assert report.exit_code == INTACT
    assert records > 1_000_000
    assert took_s <= SECONDS_MAX
    assert grown_bytes <= MEMORY_BYTES_MAX
