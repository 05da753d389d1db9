"""Patterns that somebody should look at: one structured log line each, and a counter."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import structlog

from service.books.period import Period
from service.books.refusals import OTHERS
from service.recordable import recordable

Kind: TypeAlias = Literal[
    "call_cost", "budget_80", "budget_100", "refused_credentials", "forged_credentials", "forfeited_share", "overrun",
    "checkpoint", "disk", "cohere_key_refused", "cohere_key_rotation", "key_source_unavailable", "key_source_back",
]  # fmt: skip

BURST = 100
"""Refused credentials of one source within a second, or of all sources that have fewer."""
FORGED_IDS_MAX = 10
"""How many of those that were forged are named."""
FORFEITED_PERCENT = 1
"""Of the day's limit, from which on unresolved attempts are told."""

_log = structlog.get_logger()


class Alerts:
    """Raises alerts; one that lasts is raised once for each budget and day.

    Args:
        raised: Counts them.
        call_cost_nanos: From which on a single call is told; asked each time, for a reload may change it.
    """

    def __init__(self, raised: Callable[[Kind, str], None], call_cost_nanos: Callable[[], int]) -> None:
        self._raised = raised
        self._call_cost_nanos = call_cost_nanos
        self._told: dict[tuple[str, Kind], int] = {}

    def settled(self, team: str, call_id: str, cost_nanos: int, hold_nanos: int) -> None:
        """An attempt cost so much."""
        if cost_nanos >= self._call_cost_nanos():
            self._raise("call_cost", team, call_id=call_id, cost_nanos=cost_nanos)
        if cost_nanos > hold_nanos:
            self._raise("overrun", team, call_id=call_id, cost_nanos=cost_nanos, hold_nanos=hold_nanos)

    def committed(self, team: str, period: Period, committed_nanos: int, limit_nanos: int) -> None:
        """So much of a day is spent and held."""
        if committed_nanos * 100 >= limit_nanos * 80:
            kind: Kind = "budget_100" if committed_nanos >= limit_nanos else "budget_80"
            self._once(kind, team, period.end_us, committed_nanos=committed_nanos, limit_nanos=limit_nanos)

    def spent(self, team: str, resets_at_us: int, committed_nanos: int, limit_nanos: int) -> None:
        """A hold did not fit into what is left of a day."""
        self._once("budget_100", team, resets_at_us, committed_nanos=committed_nanos, limit_nanos=limit_nanos)

    def forfeited(self, team: str, period: Period, forfeited_nanos: int, limit_nanos: int) -> None:
        """So much of a day is charged for attempts whose cost nobody knows."""
        if forfeited_nanos * 100 > limit_nanos * FORFEITED_PERCENT:
            self._once("forfeited_share", team, period.end_us, forfeited_nanos=forfeited_nanos, limit_nanos=limit_nanos)

    def refused_credentials(self, counts: Mapping[str, int]) -> None:
        """So many credentials were refused within a second, by source; those of few each are one together."""
        few = 0
        for source, count in counts.items():
            if count < BURST or source == OTHERS:
                few += count
            else:
                self._raise("refused_credentials", "", source=source, count=count)
        if few >= BURST:
            self._raise("refused_credentials", "", source=OTHERS, count=few)

    def forged_credentials(self, ids: Sequence[str]) -> None:
        """Rows that say who may call are not as Cohort wrote them: somebody else writes the database."""
        self._raised("forged_credentials", "")
        named = [recordable(each) for each in ids[:FORGED_IDS_MAX]]
        _log.error("alert", alert="forged_credentials", team="", credential_ids=named, count=len(ids))

    def key_refused(self, team: str, version: int, refusal: str, endpoint: str) -> None:
        """Cohere refuses a team's key, and there is no other: somebody has to act."""
        self._raise("cohere_key_refused", team, key_version=version, refusal=refusal, endpoint=endpoint)

    def failed(self, kind: Literal["checkpoint", "disk"], problem: str) -> None:
        """Something beside the calls does not work."""
        self._raise(kind, "", problem=problem)

    def key_source_unavailable(self, team: str, problem: str) -> None:
        """Where a team's Cohere key is kept cannot be read; what was read last stays in use."""
        self._raise("key_source_unavailable", team, problem=problem)

    def key_source_back(self, team: str, reference: str, away_s: float) -> None:
        """It can be read again."""
        self._raise("key_source_back", team, reference=reference, away_seconds=round(away_s, 1))

    def rotation(self, team: str, problem: str) -> None:
        """A new version of a team's Cohere key, for which nobody waits, was not taken, or is not in use any more."""
        self._raise("cohere_key_rotation", team, problem=problem)

    def _once(self, kind: Kind, team: str, resets_at_us: int, **figures: int) -> None:
        if self._told.get((team, kind), 0) < resets_at_us:  # calls of yesterday may end after the first of today
            self._told[team, kind] = resets_at_us
            self._raise(kind, team, **figures)

    def _raise(self, kind: Kind, team: str, **figures: object) -> None:
        self._raised(kind, team)
        _log.warning("alert", alert=kind, team=team, **figures)
