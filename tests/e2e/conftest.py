from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.e2e.cohort_service import Cohort, cohort


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """The loop that the service runs on in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path) as running:
        yield running
