from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest

from bench.compare import Comparison, Sample
from bench.loop import LoopBlock
from bench.reports import __main__ as bench
from bench.reports.asking import QUESTIONS, Answered, Question, requests
from bench.reports.fill import fill
from bench.reports.history import TEAMS
from bench.reports.setting import report_setting_in
from bench.upstream import Upstream
from service import config
from service.snapshot import snapshot_of
from service.validation import violations_of_get_usage
from tests.key_tables import access_keys_of

_KINDS = "SELECT kind, COUNT(*) FROM audit GROUP BY kind"
_STATES = "SELECT state, COUNT(*) FROM call_hold GROUP BY state"
END_US = 1_795_176_000_000_000


def answered(p99_ms: float) -> list[Answered]:
    return [Answered(question, 1000, 1.0, p99_ms) for question in QUESTIONS]


def results(p99_ms: float = 9.0) -> bench.Results:
    samples = (Sample(100.0, 1.0), Sample(110.0, 1.0))
    chat = Comparison("Chat", 1, 1, samples[:1], samples[1:])
    return bench.Results(10_000_000, answered(p99_ms), chat, LoopBlock("Chat", 1, 1, 9.0, 5.0))


def test_filled_books_are_the_sum_of_their_records(tmp_path: Path) -> None:
    told: list[str] = []
    records = fill(f"sqlite:{tmp_path / 'books.db'}", 3_000, told.append)

    books = apsw.Connection(str(tmp_path / "books.db"))
    kinds: dict[Any, Any] = dict(books.execute(_KINDS))
    states: dict[Any, Any] = dict(books.execute(_STATES))
    cost = books.execute("SELECT SUM(charge_nanos) FROM call_hold").get
    for table in ("usage_day", "usage_quarter"):
        sums = books.execute(f"SELECT SUM(calls), SUM(attempts), SUM(cost_nanos) FROM {table}").get
        assert sums == (kinds["outcome"] + kinds["answer"], kinds["outcome"], cost)
    assert sum(kinds.values()) == records
    assert kinds["intent"] == kinds["outcome"] == sum(states.values())
    assert states["forfeited"] == kinds["outcome"] // 1_000
    assert told


def test_the_config_is_one_that_cohort_starts_with_and_its_operator_sees_all_teams(tmp_path: Path) -> None:
    upstream = Upstream(8080, tmp_path / "answers")
    urls = [f"sqlite:{tmp_path / name}" for name in ("full.db", "empty.db")]
    setting = report_setting_in(tmp_path, upstream, *urls)

    loaded = [config.load(each.config) for each in (setting.full, setting.empty)]
    assert [each.database_url() for each in loaded] == urls
    for each in loaded:
        assert access_keys_of(each).principal_of(setting.access_key, 0.0).scopes == {"admin"}
        assert set(TEAMS) <= set(snapshot_of(each).budgets)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_what_is_asked_is_valid_and_within_the_year(question: Question) -> None:
    asked = list(requests(question, END_US))

    year_us = 365 * 86_400_000_000
    for request in asked:
        assert violations_of_get_usage(request) == []
        assert END_US - year_us - 900_000_000 <= request.start_time.ToMicroseconds()
        assert request.end_time.ToMicroseconds() <= END_US
    assert len(Counter(request.SerializeToString() for request in asked)) > len(asked) / 2


def test_the_table_tells_every_kind_of_report_and_whether_targets_are_kept() -> None:
    text = bench.text_of(results())

    assert all(question.name in text for question in QUESTIONS)
    assert "MISSED" not in text
    assert "met     Chat, CPU per call: 1.10 x empty books, at most 1.15" in text
    assert "MISSED  all teams, 31 days, p99: 60.00 ms, at most 50" in bench.text_of(results(60.0))
    assert "met     all teams, a year, p99: 60.00 ms, at most 500" in bench.text_of(results(60.0))


def test_programs_that_are_missing_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)

    assert bench.main([]) == 2
    assert "h2load and nginx not found" in capsys.readouterr().err


def test_postgres_is_missed_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "nginx" else f"/usr/bin/{name}")
    monkeypatch.setattr(bench, "is_installed", lambda: False)

    assert bench.main([]) == bench.main(["--postgres"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "PostgreSQL" not in first
    assert "nginx and PostgreSQL not found" in second
