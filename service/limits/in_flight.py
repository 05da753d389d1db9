"""How many calls are under way at once in this process, against the caps of their team and of the process."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.limits import refusals

T = TypeVar("T")


class InFlight:
    """Counts calls from their attempts' beginning to their end, be the caller still there or not.

    Args:
        team_max: The cap of a team; None for none.
        process_max: That of all teams together.
    """

    def __init__(self, team_max: Callable[[str], int | None], process_max: Callable[[], int | None]) -> None:
        self._team_max = team_max
        self._process_max = process_max
        self._all = 0
        self._of_team: Counter[str] = Counter()

    def of(self, team: str) -> int:
        """How many calls of a team are under way."""
        return self._of_team[team]

    async def run(self, team: str, attempts: Callable[[], Awaitable[T]]) -> T:
        """Runs a call's attempts if there is room for them.

        Raises:
            Refused: There is none.
        """
        for whose, under_way, most in (
            (f"team:{team}", self._of_team[team], self._team_max(team)),
            ("server", self._all, self._process_max()),
        ):
            if most is not None and under_way >= most:
                raise refusals.too_many_in_flight(whose, most)
        self._all += 1
        self._of_team[team] += 1
        try:
            return await attempts()
        finally:
            self._all -= 1
            self._of_team[team] -= 1
