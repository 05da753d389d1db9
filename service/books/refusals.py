"""Keeps a flood of refusals from becoming a flood of records: the first few a second stand alone, the rest are counted.

What is counted becomes one notice a second for each source, and counts in the rollups like the others.
"""

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import orjson

from service.books.entries import UTC, Note
from service.books.records import Record
from service.books.usage import Usage

RECORDS_MAX = 10
"""Refusals of one source and second that have a record of their own."""
SOURCES_MAX = 1000
"""Sources told apart in one second; more of them are one."""


@dataclass(slots=True)
class _Source:
    team: str
    zone: ZoneInfo
    seen: int = 0
    counted: Counter[Usage] = field(default_factory=Counter)


class Refusals:
    """Refusals of the present second, by source."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def stands_alone(self, source: str, team: str, zone: ZoneInfo, usage: Usage) -> bool:
        """Tells whether a refusal gets a record of its own; if not, it is counted for the notice.

        Args:
            source: Who was refused: `source_of` a peer, or a principal.
            team: Whose refusal it is, "" if that is not known.
            zone: Where the team's days begin.
            usage: What the refusal counts for.
        """
        if source not in self._sources and len(self._sources) >= SOURCES_MAX:
            source, team, zone = "others", "", UTC
            usage = Usage("", "", "", usage.reason, calls=1, attempts=0)
        entry = self._sources.setdefault(source, _Source(team, zone))
        entry.seen += 1
        if entry.seen <= RECORDS_MAX:
            return True
        entry.counted[usage] += 1
        return False

    def bursts(self) -> list[tuple[str, int]]:
        """The sources whose credentials were refused in this second, and how often."""
        return [(name, source.seen) for name, source in self._sources.items() if not source.team]

    def notices(self) -> list[Note]:
        """One notice for each source with counted refusals; a new second begins."""
        sources, self._sources = self._sources, {}
        return [_notice(name, source) for name, source in sources.items() if source.counted]


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


def _notice(name: str, source: _Source) -> Note:
    counts: Counter[str] = Counter()
    for usage, count in source.counted.items():
        counts[usage.reason] += count
    usages = tuple(
        Usage(usage.endpoint, usage.model, usage.credential_id, usage.reason, calls=count, attempts=0)
        for usage, count in source.counted.items()
    )
    body = {
        "event": "refusals_aggregated",
        "source": name,
        "counts": dict(sorted(counts.items())),
        "usages": [[u.endpoint, u.model, u.credential_id, u.reason, u.calls] for u in usages],
    }
    return Note(source.team, Record("notice", "", source.team, orjson.dumps(body)), usages, source.zone)
