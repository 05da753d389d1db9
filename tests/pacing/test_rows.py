"""The rows in SQLite and PostgreSQL: they do as the model does, and several replicas share them."""

import asyncio
import itertools
from random import Random

import pytest

from clients.pacing.errors import PaceLost
from clients.pacing.row import Asked, Taken
from service.pacing.rows import FAR_US, UNUSED_US, Paces
from service.storage.database import Database
from service.storage.sqlite import SqliteDatabase
from tests.databases import Clock, Opener
from tests.pacing.memory_row import START_US, MemoryRow
from tests.storage.statements import look, run

FROZEN = "CREATE OR REPLACE FUNCTION clock_us() RETURNS BIGINT LANGUAGE sql AS 'SELECT CAST({} AS BIGINT)'"
SECOND_US = 1_000_000


class FrozenClock(Clock):
    """Shows what it is told, on every engine."""

    def __init__(self) -> None:
        super().__init__()
        self.at_us = START_US

    def now_us(self) -> int:
        return self.at_us

    async def show(self, database: Database, at_us: int) -> None:
        self.at_us = at_us
        if database.engine == "postgres":
            await run(database, FROZEN.format(at_us))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


async def test_the_statements_do_as_the_model_does(database: Database, clock: FrozenClock) -> None:
    random, paces, model = Random(7), Paces(database), MemoryRow(clock.now_us)
    given = 0
    for _ in range(300):
        scope = random.choice("ab")
        await clock.show(database, clock.at_us + random.choice((0, 1, 3_000, 500_000, 20 * SECOND_US)))
        if random.random() < 0.1:
            rest_us = random.choice((0, 5 * SECOND_US))
            taken, expected = await paces.slow(scope, rest_us), await model.slow(scope, rest_us)
        else:
            back_us, ahead_us = random.choice((0, 7 * SECOND_US)), random.choice((200_000, 3 * SECOND_US))
            wanted_us = random.choice((1, SECOND_US, 30 * SECOND_US))
            asked = Asked(wanted_us, ahead_us, back_us, random.randint(-back_us, 10 * SECOND_US))
            taken, expected = await paces.take(scope, asked), await model.take(scope, asked)
        given += taken.start_us is not None
        assert taken == expected

    assert 50 < given < 250


async def test_no_stretch_is_given_twice_to_replicas(
    postgres_database: Database, open_replica: Opener, clock: FrozenClock
) -> None:
    del clock
    replicas = [Paces(database) for database in (postgres_database, await open_replica(), await open_replica())]
    asked = Asked(250_000, 200_000, 7 * SECOND_US, 3600 * SECOND_US)
    taken = await asyncio.gather(*(replica.take("key chat", asked) for replica in replicas for _ in range(20)))

    stretches = sorted((each.start_us, each.next_us) for each in taken if each.start_us is not None)
    assert len(stretches) == 60
    assert all(end_us == start_us for (_, end_us), (start_us, _) in itertools.pairwise(stretches))


async def test_a_row_of_before_the_clock_was_set_back_is_set_right(database: Database, clock: FrozenClock) -> None:
    paces, asked = Paces(database), Asked(1000, 1000, 0, SECOND_US)
    await clock.show(database, START_US + FAR_US + 10 * SECOND_US)
    await paces.take("a", asked)
    await clock.show(database, START_US)

    assert await paces.take("a", asked) == Taken(None, START_US, 1000, 0, START_US)
    assert (await paces.take("a", asked)).start_us == START_US


async def test_rows_of_keys_that_nobody_uses_are_forgotten(database: Database, clock: FrozenClock) -> None:
    paces, asked = Paces(database), Asked(1000, 1000, 0, SECOND_US)
    await paces.take("old", asked)
    await clock.show(database, START_US + UNUSED_US + SECOND_US)
    await paces.take("new", asked)
    await paces.forget()

    assert await look(database, "SELECT scope FROM pace") == [("new",)]


async def test_a_database_that_is_away_is_told(sqlite_database: SqliteDatabase) -> None:
    await sqlite_database.close()

    with pytest.raises(PaceLost):
        await Paces(sqlite_database).take("a", Asked(1, 1, 0, 0))
