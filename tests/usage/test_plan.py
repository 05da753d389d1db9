"""What a report reads on SQLite: rows that lie together, and not for each of them a page of the disk."""

from pathlib import Path

import apsw
import pytest

from service.books import usage_statement as statement
from service.storage.sqlite import SqliteDatabase

ROW_BY_ROW = "SEARCH h USING INDEX call_hold_open "
"""Attempts under way are few, and the last that were written."""


@pytest.mark.parametrize("all_teams", [0, 1])
@pytest.mark.parametrize("time", [statement.BY_NO_TIME, statement.BY_DAY, statement.BY_HOUR])
async def test_a_report_reads_ranges_of_keys(
    sqlite_database: SqliteDatabase, tmp_path: Path, time: int, all_teams: int
) -> None:
    values = (time, 1, 1, 1, 1, all_teams, "search", 0, 1, 1_000, 0)
    books = apsw.Connection(str(tmp_path / "books.db"), apsw.SQLITE_OPEN_READONLY)
    plan = [str(detail) for *_, detail in books.execute(f"EXPLAIN QUERY PLAN {statement.USAGE}", values)]
    books.close()

    searches = [step for step in plan if step.startswith("SEARCH ") and not step.startswith(ROW_BY_ROW)]
    assert {step.split()[1] for step in searches} == {"u", "d", "h"}
    assert [step for step in searches if " USING PRIMARY KEY " not in step and " COVERING INDEX " not in step] == []
    assert not {"SCAN u", "SCAN d"} & set(plan)
