"""The provider as pytest fixtures; the tests that need it are skipped where Node.js or its package is missing."""

from collections.abc import Iterator

import pytest

from tests.idp.idp import Idp, missing, running


@pytest.fixture(scope="session")
def idp() -> Iterator[Idp]:
    """One for all tests, which leave it as it is."""
    if problem := missing():
        pytest.skip(problem)
    with running() as provider:
        yield provider


@pytest.fixture
def own_idp() -> Iterator[Idp]:
    """One for this test, to stop or to change."""
    if problem := missing():
        pytest.skip(problem)
    with running() as provider:
        yield provider
