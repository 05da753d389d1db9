from collections.abc import AsyncIterator, Iterator

import pytest

from tests.hardening.edge import Edge, edge_in

GROWTH_BYTES_MAX = 100 * 1024 * 1024


@pytest.fixture(scope="session")
def shared_edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with edge_in(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
async def edge(shared_edge: Edge) -> AsyncIterator[Edge]:
    """The service, which has to be unharmed by what a test does: it answers, and has not grown."""
    await shared_edge.answers()
    shared_edge.forget_upstream()
    shared_edge.forget_peak()
    before_bytes = shared_edge.memory_bytes(peak=False)
    yield shared_edge
    await shared_edge.answers()
    growth_bytes = shared_edge.memory_bytes(peak=True) - before_bytes

    print(f"memory grew by up to {growth_bytes / 2**20:.1f} MiB")
    assert growth_bytes <= GROWTH_BYTES_MAX
    assert [line for line in shared_edge.lines() if line["level"] in {"error", "critical"}] == []
