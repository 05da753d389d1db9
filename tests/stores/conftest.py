import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.stores.azure_fake import AzureShelf, azure_server
from tests.stores.bao import Bao, BaoShelf, bao_server
from tests.stores.gcp_fake import GcpShelf, gcp_server
from tests.stores.moto_shelf import MotoShelf, moto_server
from tests.stores.shelf import Shelf

KINDS = ("vault", "aws-sm", "gcp-sm", "azure-kv")


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    with bao_server(tmp_path_factory.mktemp("bao"), tls=True) as running:
        yield running


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    with moto_server() as address:
        yield address


@pytest.fixture(params=KINDS)
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    async with contextlib.AsyncExitStack() as stack:
        made: BaoShelf | MotoShelf | GcpShelf | AzureShelf
        match request.param:
            case "vault":
                made = BaoShelf(request.getfixturevalue("bao"), tmp_path)
            case "aws-sm":
                made = MotoShelf(request.getfixturevalue("aws"), tmp_path)
            case "gcp-sm":
                made = GcpShelf(*await stack.enter_async_context(gcp_server()))
            case _:
                made = AzureShelf(*await stack.enter_async_context(azure_server()), tmp_path)
        stack.push_async_callback(made.close)
        yield made
