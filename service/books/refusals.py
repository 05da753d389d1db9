"""Keeps a flood of refusals from becoming a flood of records and log lines: the first few a second stand alone.

The rest are counted. What is counted becomes one notice a second for each team, and counts in the rollups like the
others; callers of whom nobody knows who they are count as one team without a name. So no number of addresses, of
credentials or of refusals makes more of them, and who is not known takes nothing from who is.
"""

import dataclasses
import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import orjson

from service.books.entries import Note
from service.books.records import Record
from service.books.usage import Usage

RECORDS_MAX = 10
"""Refusals of one source and second that have a record of their own."""
TEAM_RECORDS_MAX = 20
"""Those of all sources of a team together."""
SOURCES_MAX = 100
"""Sources of a team that are told apart in one second; more of them are one."""
USAGES_MAX = 500
"""What a notice tells apart of what it counts; of the rest it tells the reasons."""
OTHERS = "others"


@dataclass(slots=True)
class _Team:
    """Its refusals of the present second."""

    zone: ZoneInfo
    alone: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    """By source, whether counted or not."""
    counted: Counter[str] = field(default_factory=Counter)
    """By source, those that do not stand alone."""
    usages: Counter[Usage] = field(default_factory=Counter)


class Refusals:
    """Refusals of the present second, by team and source."""

    def __init__(self) -> None:
        self._teams: dict[str, _Team] = {}
        self._burst: Counter[str] = Counter()

    def stands_alone(self, source: str, team: str, zone: ZoneInfo, usage: Usage) -> bool:
        """Tells whether a refusal gets a record of its own; if not, it is counted for the notice.

        Args:
            source: Who was refused: `source_of` a peer, or the id of a credential.
            team: Whose refusal it is, "" if that is not known.
            zone: Where the team's days begin.
            usage: What the refusal counts for.
        """
        entry = self._teams.get(team)
        if entry is None:
            entry = self._teams[team] = _Team(zone)
        if source not in entry.seen and len(entry.seen) >= SOURCES_MAX:
            source, usage = OTHERS, dataclasses.replace(usage, credential_id="")
        entry.seen[source] += 1
        if not team:
            self._burst[source if source in self._burst or len(self._burst) < SOURCES_MAX else OTHERS] += 1
        if entry.seen[source] <= RECORDS_MAX and entry.alone < TEAM_RECORDS_MAX:
            entry.alone += 1
            return True
        if usage not in entry.usages and len(entry.usages) >= USAGES_MAX:
            usage = Usage("", "", "", usage.reason, calls=1, attempts=0)
        entry.counted[source] += 1
        entry.usages[usage] += 1
        return False

    def bursts(self) -> Mapping[str, int]:
        """The sources whose credentials were refused since it was asked last, and how often."""
        bursts, self._burst = self._burst, Counter()
        return bursts

    def notices(self) -> list[Note]:
        """One notice for each team with counted refusals; a new second begins."""
        teams, self._teams = self._teams, {}
        return [_notice(name, team) for name, team in teams.items() if team.counted]


def source_of(peer: str) -> str:
    """The host of a gRPC peer, without its port; an IPv6 host by its /64, which is one subscriber's."""
    kind, _, address = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return kind
    host = address.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return kind
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _notice(name: str, team: _Team) -> Note:
    counts: Counter[str] = Counter()
    for usage, count in team.usages.items():
        counts[usage.reason] += count
    usages = tuple(dataclasses.replace(usage, calls=count) for usage, count in team.usages.items())
    body = {
        "event": "refusals_aggregated",
        "counts": dict(sorted(counts.items())),
        "sources": dict(team.counted.most_common()),
        "usages": [[u.endpoint, u.model, u.credential_id, u.reason, u.calls] for u in usages],
    }
    return Note(name, Record("notice", "", name, orjson.dumps(body)), usages, team.zone)
