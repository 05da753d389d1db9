from collections.abc import AsyncIterator

import pytest

from service.books.period import period_at
from service.storage.database import Database
from tests.databases import Clock
from tests.unit.service.usage_service import TOKYO, UsageService

HOUR_US = 3_600_000_000


@pytest.fixture
async def usage_service(database: Database, clock: Clock) -> AsyncIterator[UsageService]:
    """At noon in Tokyo: no test has the day turn under it."""
    now_us = clock.now_us()
    await clock.shift(period_at(TOKYO, now_us).start_us + 12 * HOUR_US - now_us)
    running = UsageService(database)
    await running.start()
    yield running
    await running.stop()
