"""Every RPC, with every kind of credential, in every state: who gets in, and what the others and the operators read."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.identity.matrix import METHODS, rows
from tests.identity.rpcs import ENTRIES, RPCS, TEAM, Ended
from tests.identity.scene import each_refusal_stands_alone, scene

AT_ONCE = 16
SITUATIONS_MIN = 160
"""Of each RPC; fewer would mean that some were forgotten."""


async def gathered(calls: list[Awaitable[Ended]]) -> list[Ended]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[Ended]) -> Ended:
        async with turns:
            return await call

    return await asyncio.gather(*map(one, calls))


def recorded(file: Path) -> dict[str, dict[str, Any]]:
    """What the last record of each call says."""
    database = sqlite3.connect(file)
    found = database.execute("SELECT call_id, body FROM audit WHERE kind IN ('answer', 'outcome') ORDER BY at_us, seq")
    said = {call_id: orjson.loads(body) for call_id, body in found}
    database.close()
    return said


def test_every_rpc_of_the_contract_has_an_entry() -> None:
    assert set(ENTRIES) == set(RPCS)


@pytest.mark.slow
async def test_who_may_call_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each_refusal_stands_alone(monkeypatch)
    async with scene(tmp_path) as made:
        matrix = list(rows(made))
        results = await gathered([row.call(made) for row in matrix])
        assert set(METHODS) == set(made.minters.by_kind())
    lines = {line["call_id"]: line for line in made.lines() if line["event"] == "call"}
    records = recorded(tmp_path / "cohort.db")

    wrong = [
        f"{row.rpc} with {row.situation}: {fault}"
        for row, ended in zip(matrix, results, strict=True)
        for fault in row.faults(ended, lines.get(ended.call_id), records.get(ended.call_id))
    ]
    leaked = [
        row
        for row, ended in zip(matrix, results, strict=True)
        if row.foreign and TEAM.encode() in ended.answer + ended.details
    ]
    counts = Counter(ended.code for ended in results)
    situations = {path: {row.situation for row in matrix if row.rpc == path} for path in RPCS}
    print(
        f"\nmatrix: {len(matrix)} calls, {len(RPCS)} RPCs x {min(map(len, situations.values()))} and more situations,"
        f" {dict(counts)}, {len(leaked)} leaks"
    )
    assert wrong == []
    assert leaked == []
    assert min(map(len, situations.values())) >= SITUATIONS_MIN
    assert sum(map(len, situations.values())) == len(matrix)
    assert not [line for line in made.lines() if line.get("level") == "error"]
