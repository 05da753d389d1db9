"""Transactions one after the other, scripts and others, and what became of each as far as their caller knows."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from service.storage.database import Database, Script, Step
from service.storage.errors import CommitUncertain, DatabaseUnavailable
from service.storage.steps import work_of
from tests.storage.statements import INSERT, ids

HEALS_WITHIN_S = 10.0


@dataclass
class Traffic:
    """Transactions without end, and what their callers were told."""

    database: Database
    acknowledged: list[int] = field(default_factory=list)
    uncertain: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    number: int = 0

    async def one(self) -> None:
        """The next transaction: two rows, both or none."""
        first, second, self.number = self.number, self.number + 1, self.number + 2

        script = Script([Step(INSERT, [(first,)]), Step(INSERT, [(second,)])], list)
        try:
            await (self.database.run(script) if first % 4 else self.database.transact(work_of(script)))
        except CommitUncertain:
            self.uncertain += [first, second]
        except DatabaseUnavailable:
            self.refused += [first, second]
            await asyncio.sleep(0.005)  # as the committer does, which backs off
        else:
            self.acknowledged += [first, second]

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(HEALS_WITHIN_S):
            while not done():
                await self.one()

    async def some(self) -> None:
        """Goes on until a few more were acknowledged: it has healed."""
        least = len(self.acknowledged) + 10
        await self.until(lambda: len(self.acknowledged) >= least)

    async def agrees(self) -> None:
        """Asserts that what is there is what callers were told."""
        there = await ids(self.database)
        assert set(self.acknowledged) <= set(there), f"lost: {set(self.acknowledged) - set(there)}"
        assert set(there) <= {*self.acknowledged, *self.uncertain}
        assert all(number ^ 1 in there for number in there)
        counts = len(self.acknowledged), len(self.uncertain), len(self.refused)
        print("{} acknowledged, {} uncertain, {} refused; lost 0".format(*counts))
