"""What holds for every test.

Hypothesis searches further when it is asked for proofs (`make prove`) than on every change. PostgreSQL bears longer
pauses inside a transaction than in production: on a machine that runs tests on every core this process has some. The
tests of the storage, which hold its bounds, are left as they are.
"""

import os
from pathlib import Path

import hypothesis
import pytest

from service.storage import postgres_connection

hypothesis.settings.register_profile("prove", max_examples=2000, deadline=None)

pytest_plugins = ["tests.databases", "tests.idp.fixtures"]

_STORAGE = Path(__file__).parent / "storage"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: the tests wait about as long as they reckon."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def patient_postgres(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a transaction rest for longer, but in the storage's own tests."""
    if not request.path.is_relative_to(_STORAGE):
        settings = {"idle_in_transaction_session_timeout": "5s", "statement_timeout": "5s"}
        monkeypatch.setattr(postgres_connection, "_WRITER", postgres_connection._WRITER | settings)
