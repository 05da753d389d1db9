"""The database's clock as a process follows it: never ahead, and behind by no more than its quickest reading was."""

import pytest

from service.books.clock import DRIFT_US, DatabaseClock

SECOND_US = 1_000_000
START_US = 1_800_000_000 * SECOND_US


class Machine:
    """Its own clock, and the database's, which differ by what is set; readings take their way."""

    def __init__(self) -> None:
        self.own_us = 5 * SECOND_US
        self.ahead_us = START_US

    def monotonic_ns(self) -> int:
        return self.own_us * 1000

    def database_us(self) -> int:
        return self.own_us + self.ahead_us

    async def read(self, there_us: int, back_us: int) -> int:
        self.own_us += there_us
        read_us = self.database_us()
        self.own_us += back_us
        return read_us


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> DatabaseClock:
    return DatabaseClock(machine.database_us() - 300_000, machine.monotonic_ns)


async def test_a_slow_reading_does_not_spoil_what_a_quick_one_told(machine: Machine, clock: DatabaseClock) -> None:
    await clock.follow(machine.read(500, 500))
    for _ in range(5):
        machine.own_us += 10 * SECOND_US
        await clock.follow(machine.read(20_000, 300_000))
        assert 0 <= machine.database_us() - clock.now_us() <= 500 + 5 * DRIFT_US


async def test_a_quick_reading_mends_what_a_slow_one_told(machine: Machine, clock: DatabaseClock) -> None:
    assert machine.database_us() - clock.now_us() == 300_000
    await clock.follow(machine.read(500, 500))

    assert machine.database_us() - clock.now_us() == 500


@pytest.mark.parametrize("way_us", [500, 100_000])
@pytest.mark.parametrize("parts", [-DRIFT_US, DRIFT_US])
async def test_clocks_that_drift_apart_stay_together(
    machine: Machine, clock: DatabaseClock, parts: int, way_us: int
) -> None:
    await clock.follow(machine.read(500, 500))
    for _ in range(1000):
        machine.own_us += 10 * SECOND_US
        machine.ahead_us += parts
        await clock.follow(machine.read(way_us, way_us))

        assert 0 <= machine.database_us() - clock.now_us() <= way_us


@pytest.mark.parametrize("by_us", [-600 * SECOND_US, -1 * SECOND_US, 1 * SECOND_US, 600 * SECOND_US])
async def test_a_step_of_the_databases_clock_is_taken_over_at_once(
    machine: Machine, clock: DatabaseClock, by_us: int
) -> None:
    machine.ahead_us += by_us
    await clock.follow(machine.read(2_000, 3_000))

    assert machine.database_us() - clock.now_us() == 3_000
