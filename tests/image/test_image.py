"""The container image really built, started, asked and stopped; `make image` runs this."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from clients.sandbox import Sandbox
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from tests.books_lines import books_lines
from tests.image.container import Image, built, started
from tests.key_tables import PEPPER, access_key_lines

pytestmark = [pytest.mark.image, pytest.mark.timeout(900)]

USER = 10001
DATA = "/var/lib/cohort"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with built(Path(tempfile.mkdtemp(prefix="cohort-image-"))) as image:
        yield image


@pytest.fixture
def mounted() -> Iterator[Path]:
    """A folder that the container's user can reach, unlike those of tmp_path."""
    with tempfile.TemporaryDirectory(prefix="cohort-config-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def write_config(folder: Path, sandbox_url: str) -> str:
    """Writes a config and what it refers to; gives the access key that it accepts."""
    access_key, lines = access_key_lines("demo", "image", ["chat"], environment="image")
    (folder / "keys.toml").write_text(lines)
    (folder / "pepper").write_text(PEPPER)
    (folder / "cohere_key").write_text("sandbox-production")
    (folder / "cohort.toml").write_text(f"""\
environment = "image"
[server]
listen = "127.0.0.1:0"
drain_seconds = 5
[metrics]
listen = "127.0.0.1:0"
[cohere]
sandbox = true
base_url = "{sandbox_url}"
[cohere.pacing]
key_kind = "off"
[teams.demo]
cohere_key = "file:cohere_key"
models = ["command-a-03-2025"]
max_tokens_per_call = 100
daily_budget_usd = 25
{books_lines(folder, database=f"sqlite:{DATA}/cohort.db", audit=f'checkpoint_file = "{DATA}/checkpoints.jsonl"')}
[peppers]
1 = "file:pepper"
""")
    return access_key


def import_keys(image: Image, mounted: Path) -> None:
    """Takes the access key of `write_config` into the container's database."""
    words = ("/opt/venv/bin/cohort", "keys", "import", "/etc/cohort/keys.toml")
    subprocess.run(image.run(*words, mounted=mounted), check=True)


def test_the_image_says_what_it_runs_and_as_whom(image: Image) -> None:
    config = image.config

    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/opt/venv/bin/cohort"]
    assert config["Cmd"] == ["serve"]


def test_the_image_holds_no_installer_and_no_source_of_ours_beside_the_packages(image: Image) -> None:
    found = subprocess.run(
        image.run("find", "/opt", "/build", "-name", "pip", "-o", "-name", "Dockerfile", "-o", "-name", "tests"),
        check=False,
        capture_output=True,
        text=True,
    ).stdout.splitlines()

    assert [path for path in found if "/site-packages/" not in path] == []
    assert not any(path.endswith("/site-packages/pip") for path in found)


async def test_the_container_answers_health_and_a_chat_and_stops_when_asked(
    image: Image, mounted: Path, tmp_path: Path
) -> None:
    async with Sandbox().serve() as sandbox_url:
        access_key = write_config(mounted, sandbox_url)
        import_keys(image, mounted)
        with started(image, mounted, tmp_path / "log") as container:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{container.port}") as channel:
                check = channel.unary_unary(
                    "/grpc.health.v1.Health/Check",
                    request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                    response_deserializer=health_pb2.HealthCheckResponse.FromString,
                )
                health = await check(health_pb2.HealthCheckRequest(), timeout=10)
                response = await GatewayServiceStub(channel).Chat(
                    ChatRequest(model="command-a-03-2025", messages=[ChatMessage(role="user", text="Hi")]),
                    metadata=(("x-api-key", access_key),),
                    timeout=10,
                )

            assert health.status == health_pb2.HealthCheckResponse.SERVING
            assert response.message.content[0].text
            assert response.receipt.call_id
            assert container.uids == {USER}
            assert container.stop() == 0
