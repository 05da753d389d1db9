"""What somebody should look at is told in the log and counted; what lasts, once for each team and day."""

import pytest
from structlog.testing import capture_logs

from service.books.alerts import BURST, FORGED_IDS_MAX, Alerts
from service.books.period import Period

LIMIT = 1_000_000_000
TODAY, TOMORROW = Period(0, 100), Period(100, 200)


class Heard:
    """Alerts, and what they have counted."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, str]] = []
        self.dear_nanos = 10
        self.alerts = Alerts(lambda kind, team: self.counted.append((kind, team)), lambda: self.dear_nanos)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_an_alert_is_a_log_line_with_its_figures_and_a_count(heard: Heard) -> None:
    with capture_logs() as logs:
        heard.alerts.committed("search", TODAY, 800_000_000, LIMIT)

    figures = {"alert": "budget_80", "team": "search", "committed_nanos": 800_000_000, "limit_nanos": LIMIT}
    assert logs == [{"event": "alert", "log_level": "warning", **figures}]
    assert heard.counted == [("budget_80", "search")]


@pytest.mark.parametrize(
    ("committed_nanos", "told"),
    [(799_999_999, []), (800_000_000, ["budget_80"]), (999_999_999, ["budget_80"]), (LIMIT, ["budget_100"])],
)
def test_a_budget_is_told_from_80_percent_on_and_when_nothing_is_left(
    heard: Heard, committed_nanos: int, told: list[str]
) -> None:
    heard.alerts.committed("search", TODAY, committed_nanos, LIMIT)

    assert [kind for kind, _ in heard.counted] == told


def test_a_budget_that_stays_spent_is_told_once_a_day_however_it_shows(heard: Heard) -> None:
    for _ in range(3):
        heard.alerts.spent("search", TODAY.end_us, 990_000_000, LIMIT)
        heard.alerts.committed("search", TODAY, LIMIT, LIMIT)
    heard.alerts.spent("other", TODAY.end_us, 990_000_000, LIMIT)
    heard.alerts.committed("search", TOMORROW, LIMIT, LIMIT)

    assert heard.counted == [("budget_100", "search"), ("budget_100", "other"), ("budget_100", "search")]


def test_a_call_of_yesterday_that_ends_today_tells_of_neither_day_again(heard: Heard) -> None:
    for day in (TODAY, TOMORROW, TODAY, TOMORROW):
        heard.alerts.committed("search", day, LIMIT, LIMIT)

    assert heard.counted == [("budget_100", "search")] * 2


def test_a_hold_that_did_not_fit_is_told_with_what_is_committed(heard: Heard) -> None:
    with capture_logs() as logs:
        heard.alerts.spent("search", TODAY.end_us, 990_000_000, LIMIT)

    assert (logs[0]["committed_nanos"], logs[0]["limit_nanos"]) == (990_000_000, LIMIT)


def test_a_call_is_dear_from_the_configured_cost_on_even_if_a_reload_changed_it(heard: Heard) -> None:
    heard.alerts.settled("search", "call-1", 9, hold_nanos=20)
    heard.alerts.settled("search", "call-2", 10, hold_nanos=20)
    heard.dear_nanos = 9
    heard.alerts.settled("search", "call-3", 9, hold_nanos=20)

    assert heard.counted == [("call_cost", "search")] * 2


def test_a_bill_above_the_hold_is_told(heard: Heard) -> None:
    heard.alerts.settled("search", "call-1", 5, hold_nanos=5)
    heard.alerts.settled("search", "call-2", 6, hold_nanos=5)

    assert heard.counted == [("overrun", "search")]


def test_more_than_a_percent_of_a_day_without_a_known_bill_is_told_once(heard: Heard) -> None:
    heard.alerts.forfeited("search", TODAY, 10_000_000, LIMIT)
    for _ in range(2):
        heard.alerts.forfeited("search", TODAY, 10_000_001, LIMIT)

    assert heard.counted == [("forfeited_share", "search")]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"192.0.2.7": BURST - 1}, []),
        ({"192.0.2.7": BURST, "192.0.2.8": BURST - 1}, [("192.0.2.7", BURST)]),
        ({"192.0.2.7": BURST - 1, "192.0.2.8": 1}, [("others", BURST)]),
        ({f"192.0.2.{each}": 1 for each in range(BURST - 1)}, []),
        ({"192.0.2.7": 1, "others": BURST}, [("others", BURST + 1)]),
        (
            {**{f"192.0.2.{each}": 1 for each in range(BURST)}, "198.51.100.1": BURST},
            [("198.51.100.1", BURST), ("others", BURST)],
        ),
    ],
)
def test_a_burst_of_refused_credentials_is_told_with_its_source_or_of_all_that_are_small(
    heard: Heard, counts: dict[str, int], told: list[tuple[str, int]]
) -> None:
    with capture_logs() as logs:
        heard.alerts.refused_credentials(counts)

    assert [(line["alert"], line["source"], line["count"]) for line in logs] == [
        ("refused_credentials", *each) for each in told
    ]


def test_forged_credentials_are_told_with_a_few_of_their_ids_and_nothing_that_misleads(heard: Heard) -> None:
    ids = ["a\u202e", *(f"k{number}" for number in range(FORGED_IDS_MAX))]
    with capture_logs() as logs:
        heard.alerts.forged_credentials(ids)

    assert heard.counted == [("forged_credentials", "")]
    (line,) = logs
    assert (line["log_level"], line["alert"], line["count"]) == ("error", "forged_credentials", FORGED_IDS_MAX + 1)
    assert line["credential_ids"] == ["a\ufffd", *ids[1:FORGED_IDS_MAX]]
