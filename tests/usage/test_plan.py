"""What a report reads on SQLite: rows that lie together, and not for each of them a page of the disk."""

from pathlib import Path

import apsw
import pytest

from service.books import usage_statement as statement
from service.storage.sqlite import SqliteDatabase, wall_clock_us
from service.storage.sqlite_connection import connect

ROW_BY_ROW = "SEARCH h USING INDEX call_hold_open "
"""Attempts under way are few, and the last that were written."""


@pytest.mark.parametrize("all_teams", [0, 1])
@pytest.mark.parametrize("time", [statement.BY_NO_TIME, statement.BY_DAY, statement.BY_HOUR])
async def test_a_report_reads_ranges_of_keys(
    sqlite_database: SqliteDatabase, tmp_path: Path, time: int, all_teams: int
) -> None:
    values = (all_teams, "search", 0, 1, 1, 1, 1, 1, time, 1_000, 0)
    books = connect(tmp_path / "books.db", wall_clock_us, writes=False, vfs=None)
    plan = [str(detail) for *_, detail in books.execute(f"EXPLAIN QUERY PLAN {statement.USAGE}", values)]
    books.close()

    searches = [step for step in plan if step.startswith("SEARCH ") and not step.startswith(ROW_BY_ROW)]
    assert {step.split()[1] for step in searches} == {"u", "d", "h"}
    assert [step for step in searches if " USING PRIMARY KEY " not in step and " COVERING INDEX " not in step] == []
    assert not {"SCAN u", "SCAN d"} & set(plan)


@pytest.mark.parametrize("of_team", [0, 1])
async def test_the_days_of_teams_are_summed_up_in_the_order_they_lie_in(
    sqlite_database: SqliteDatabase, tmp_path: Path, of_team: int
) -> None:
    values = (1 - of_team, "search", 0, 1, 0, 0, 0, 1 - of_team, statement.BY_DAY, 1_000, 0)
    books = connect(tmp_path / "books.db", wall_clock_us, writes=False, vfs=None)
    plan = [str(detail) for *_, detail in books.execute(f"EXPLAIN QUERY PLAN {statement.USAGE}", values)]
    books.close()

    days = plan[plan.index("MATERIALIZE fine") : plan.index("CO-ROUTINE h")]
    selects = "\n".join(days).split("UNION ALL")
    assert ["TEMP B-TREE" in select for select in selects[:4]] == [False, False, True, True]
    assert all("SEARCH u USING PRIMARY KEY (team=? AND day_start_us>" in select for select in selects[:4])


async def test_a_report_is_compiled_once_whatever_is_asked(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    compiled = 0

    def compiling(*_: object) -> int:
        nonlocal compiled
        compiled += 1
        return apsw.SQLITE_OK

    books = connect(tmp_path / "books.db", wall_clock_us, writes=False, vfs=None)
    books.authorizer = compiling
    steps = set[int]()
    for team in ("search", "ads"):
        for start_us in (0, 900_000_000):
            values = (0, team, start_us, start_us + 900_000_000, 1, 1, 1, 1, statement.BY_DAY, 1_000, 0)
            books.execute(statement.USAGE, values).fetchall()
            steps.add(compiled)
    books.close()

    assert len(steps) == 1
    assert compiled
