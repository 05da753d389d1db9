from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.cohort_service import Cohort, cohort


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path) as running:
        yield running
