"""The first refusals of a second stand alone, the rest are counted; whose they are decides which are together."""

import ipaddress

import orjson
import pytest

from service.books.entries import UTC, Note
from service.books.refusals import RECORDS_MAX, SOURCES_MAX, TEAM_RECORDS_MAX, USAGES_MAX, Refusals, source_of
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
    assert body["event"] == "refusals_aggregated"
    assert body["sources"] == {"192.0.2.7": 5}
    assert body["counts"] == {"CREDENTIAL_REJECTED": 5}
    assert body["usages"] == [["", "", "", "CREDENTIAL_REJECTED", 5]]
    assert counted(note) == 5


def test_a_notice_begins_a_new_second() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", RECORDS_MAX + 5)
    refusals.notices()

    assert refuse(refusals, "192.0.2.7", 3) == 3
    assert refusals.notices() == []


def test_teams_are_told_apart_and_so_are_sources_reasons_and_endpoints() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", RECORDS_MAX)
    refuse(refusals, "key-1", RECORDS_MAX, "BUDGET_SPENT", "search")
    assert refuse(refusals, "192.0.2.7", 2) == refuse(refusals, "key-1", 3, "TEAM_FROZEN", "search") == 0
    refusals.stands_alone("key-1", "search", UTC, usage("TEAM_FROZEN", "embed"))
    one, other = refusals.notices()

    assert (one.team, other.team) == ("", "search")
    assert orjson.loads(other.record.body)["counts"] == {"TEAM_FROZEN": 4}
    assert {(each.endpoint, each.calls) for each in other.usages} == {("", 3), ("embed", 1)}


@pytest.mark.parametrize("team", ["", "search"])
def test_of_sources_without_number_few_stand_alone_and_one_notice_counts_the_rest(team: str) -> None:
    refusals = Refusals()
    alone = sum(refuse(refusals, f"source {number}", 3, team=team) for number in range(10_000))
    (note,) = refusals.notices()
    body = orjson.loads(note.record.body)

    assert alone == TEAM_RECORDS_MAX
    assert counted(note) == sum(body["sources"].values()) == sum(body["counts"].values()) == 30_000 - alone
    assert len(body["sources"]) <= SOURCES_MAX + 1
    assert body["sources"]["others"] == (10_000 - SOURCES_MAX) * 3
    assert next(iter(body["sources"])) == "others"
    assert len(note.record.body) < 10_000


def test_a_flood_of_strangers_takes_nothing_from_a_team_nor_one_team_from_another() -> None:
    refusals = Refusals()
    for number in range(2 * SOURCES_MAX):
        refuse(refusals, f"address {number}", 20)
        refuse(refusals, f"key-{number}", 20, "BUDGET_SPENT", "ads")

    assert refuse(refusals, "key-1", RECORDS_MAX + 5, "BUDGET_SPENT", "search") == RECORDS_MAX
    assert refuse(refusals, "key-2", RECORDS_MAX + 5, "BUDGET_SPENT", "search") == RECORDS_MAX
    notices = {note.team: note for note in refusals.notices()}
    assert counted(notices["search"]) == 10
    assert orjson.loads(notices["search"].record.body)["sources"] == {"key-1": 5, "key-2": 5}


def test_a_flood_of_strangers_is_less_than_twenty_kilobytes_a_second() -> None:
    """So a million of them, at two thousand a second, are less than ten megabytes of the trail."""
    refusals = Refusals()
    written = 0
    for number in range(5 * 2_000):
        source = str(ipaddress.ip_network((0x2001_0DB8_FFFF << 80 | number * 0x9E37_79B9 << 64, 64)))
        written += 500 * refusals.stands_alone(source, "", UTC, usage())
        if number % 2_000 == 1_999:
            written += sum(len(note.record.body) for note in refusals.notices())

    assert written < 5 * 20_000


def test_what_a_notice_tells_apart_is_bounded_and_counts_in_full() -> None:
    refusals = Refusals()
    for number in range(3 * USAGES_MAX):
        refusals.stands_alone(f"key-{number % 50}", "search", UTC, usage("BUDGET_SPENT", f"endpoint {number}"))
    (note,) = refusals.notices()

    assert len(note.usages) == USAGES_MAX + 1
    assert counted(note) == 3 * USAGES_MAX - TEAM_RECORDS_MAX


def test_beyond_its_sources_a_team_keeps_its_endpoints_and_not_whose_credential_it_was() -> None:
    refusals = Refusals()
    for number in range(SOURCES_MAX + 50):
        one = Usage("chat", "", f"key-{number}", "BUDGET_SPENT", calls=1, attempts=0)
        refusals.stands_alone(f"key-{number}", "search", UTC, one)
    (note,) = refusals.notices()

    (rest,) = [each for each in note.usages if not each.credential_id]
    assert rest == Usage("chat", "", "", "BUDGET_SPENT", calls=50, attempts=0)


def test_bursts_are_those_of_credentials_alone_since_the_last_look() -> None:
    refusals = Refusals()
    refuse(refusals, "192.0.2.7", 150)
    refuse(refusals, "key-1", 200, "BUDGET_SPENT", "search")

    assert refusals.bursts() == {"192.0.2.7": 150}
    assert refusals.bursts() == {}


def test_bursts_of_sources_without_number_are_one() -> None:
    refusals = Refusals()
    for number in range(5 * SOURCES_MAX):
        refuse(refusals, f"address {number}", 1)
    bursts = refusals.bursts()

    assert len(bursts) == SOURCES_MAX + 1
    assert sum(bursts.values()) == 5 * SOURCES_MAX
