"""The first refusals of a second stand alone, the rest are counted; whose they are decides which are together."""

import orjson
import pytest

from service.books.entries import UTC, Note
from service.books.refusals import RECORDS_MAX, SOURCES_MAX, Refusals, source_of
from service.books.usage import Usage


def usage(reason: str = "CREDENTIAL_REJECTED", endpoint: str = "") -> Usage:
    return Usage(endpoint, "", "", reason, calls=1, attempts=0)


def refuse(refusals: Refusals, source: str, count: int, reason: str = "CREDENTIAL_REJECTED", team: str = "") -> int:
    """How many of them stand alone."""
    return sum(refusals.stands_alone(source, team, UTC, usage(reason)) for _ in range(count))


def counted(note: Note) -> int:
    return sum(each.calls for each in note.usages)


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        ("ipv4:192.0.2.7:50051", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:50051", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::9]:1", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:50051", "fe80::/64"),
        ("ipv4:nonsense:1", "ipv4"),
        ("unix:/run/cohort.sock", "unix"),
        ("unix:", "unix"),
        ("", ""),
    ],
)
def test_a_source_is_a_host_or_a_subscriber_and_never_a_port(peer: str, source: str) -> None:
    assert source_of(peer) == source


def test_the_first_of_a_second_stand_alone_and_the_rest_is_one_notice_with_their_number() -> None:
    refusals = Refusals()

    assert refuse(refusals, "192.0.2.7", RECORDS_MAX + 5) == RECORDS_MAX
    (note,) = refusals.notices()
    body = orjson.loads(note.record.body)
    assert (body["event"], body["source"]) == ("refusals_aggregated", "192.0.2.7")
    assert body["counts"] == {"CREDENTIAL_REJECTED": 5}
    assert body["usages"] == [["", "", "", "CREDENTIAL_REJECTED", 5]]
    assert counted(note) == 5


def test_a_notice_begins_a_new_second() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", RECORDS_MAX + 5)
    refusals.notices()

    assert refuse(refusals, "192.0.2.7", 3) == 3
    assert refusals.notices() == []


def test_sources_are_told_apart_and_so_are_reasons_and_endpoints() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", RECORDS_MAX)
    refuse(refusals, "search/key-1", RECORDS_MAX, "BUDGET_SPENT", "search")
    assert refuse(refusals, "192.0.2.7", 2) == refuse(refusals, "search/key-1", 3, "TEAM_FROZEN", "search") == 0
    refusals.stands_alone("search/key-1", "search", UTC, usage("TEAM_FROZEN", "embed"))
    one, other = refusals.notices()

    assert (one.team, other.team) == ("", "search")
    assert orjson.loads(other.record.body)["counts"] == {"TEAM_FROZEN": 4}
    assert {(each.endpoint, each.calls) for each in other.usages} == {("", 3), ("embed", 1)}


def test_sources_without_number_are_one_and_all_of_it_counts() -> None:
    refusals = Refusals()
    alone = sum(refuse(refusals, f"source {number}", RECORDS_MAX + 1) for number in range(SOURCES_MAX + 500))
    notices = refusals.notices()

    assert len(notices) == SOURCES_MAX + 1
    assert alone + sum(map(counted, notices)) == (SOURCES_MAX + 500) * (RECORDS_MAX + 1)
    assert alone <= (SOURCES_MAX + 1) * RECORDS_MAX


def test_bursts_are_those_of_credentials_alone() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", 150)
    refuse(refusals, "search/key-1", 200, "BUDGET_SPENT", "search")

    assert refusals.bursts() == [("192.0.2.7", 150)]
