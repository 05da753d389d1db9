"""A whole Cohort in this process: the real server on a loopback port, with the sandbox as its Cohere."""

import contextlib
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import orjson

from clients.sandbox import Fault, Sandbox
from clients.sandbox.keys import Key
from clients.sandbox.request_log import SeenRequest
from cohort.v1.admin_service_pb2_grpc import AdminServiceStub
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from service import config
from service.server import Running, running
from tests.books_lines import books_lines
from tests.key_tables import PEPPER, access_key_lines, take_over_keys

if TYPE_CHECKING:
    from cohort.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from cohort.v1.gateway_service_pb2_grpc import GatewayServiceAsyncStub

MODELS = (
    "command-a-03-2025",
    "command-a-reasoning-08-2025",
    "command-a-vision-07-2025",
    "command-r7b-12-2024",
    "embed-v4.0",
    "embed-english-light-v3.0",
    "rerank-v3.5",
    "rerank-v5.0-pro",
    "not-at-cohere",
)
CAP = 500
BUDGET_USD = "1000"
PRICES = """\
version = "tests"
[models."command-a-reasoning-08-2025"]
usd_per_million_input_tokens = 2.50
usd_per_million_output_tokens = 10.00
[models."command-a-vision-07-2025"]
usd_per_million_input_tokens = 2.50
usd_per_million_output_tokens = 10.00
[models."not-at-cohere"]
endpoint = "chat"
context_tokens = 128_000
output_tokens_max = 4_096
usd_per_million_input_tokens = 2.50
usd_per_million_output_tokens = 10.00
"""
"""What the models cost that have no published price."""


@dataclass
class Cohort:
    """A running service, and what a test needs around it."""

    service: Running
    sandbox: Sandbox
    sandbox_url: str
    folder: Path
    channel: grpc.aio.Channel
    access_key: str
    log: io.BytesIO
    access_keys: dict[str, str] = field(default_factory=dict)

    @property
    def stub(self) -> "GatewayServiceAsyncStub":
        return GatewayServiceStub(self.channel)

    @property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", self.access_key),)

    def key(self, name: str) -> tuple[tuple[str, str], ...]:
        """The credentials of another access key than that of `credentials`."""
        return (("x-api-key", self.access_keys[name]),)

    @property
    def admin(self) -> "AdminServiceAsyncStub":
        return AdminServiceStub(self.channel)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.service.port}"

    @property
    def config_file(self) -> Path:
        return self.folder / "cohort.toml"

    def lines(self, event: str = "call") -> list[dict[str, object]]:
        return [line for line in map(orjson.loads, self.log.getvalue().splitlines()) if line["event"] == event]

    def sent(self) -> list[SeenRequest]:
        """The requests of calls that came to the sandbox; those of checks of keys come when they will."""
        return [request for request in self.sandbox.state.requests.all() if request.path.startswith("/v2/")]

    def fault(self, **fault: object) -> None:
        self.sandbox.state.faults.add([Fault.model_validate(fault)])


def team_lines(
    name: str,
    base_url: str,
    *,
    models: str = orjson.dumps(MODELS).decode(),
    budget_usd: str = BUDGET_USD,
    zone: str = "UTC",
    extra: str = "",
    cohere_key: str = "",
) -> str:
    """One team whose Cohere key lies in a file of its own, unless a reference says otherwise."""
    return (
        f'[teams.{name}]\ncohere_key = "{cohere_key or f"file:{name}.key"}"\nbase_url = "{base_url}"\n'
        f"models = {models}\nmax_tokens_per_call = {CAP}\n"
        f'daily_budget_usd = {budget_usd}\ntime_zone = "{zone}"\n{extra}\n'
    )


def paced(allowance: str) -> str:
    """The lines of [cohere.pacing] for production keys, of which a minute allows so much."""
    return f'key_kind = "production"\n[cohere.pacing.production]\n{allowance}'


@contextlib.asynccontextmanager
async def cohort(
    folder: Path,
    *,
    server: str = "",
    cohere: str = "",
    pacing: str = 'key_kind = "off"',
    team: str = "",
    limits: str = "",
    cohere_key: str | None = "sandbox-production",
    taken: Iterable[Key] = (),
    reference: str = "",
    base_url: str | None = None,
    models: str = orjson.dumps(MODELS).decode(),
    budget_usd: str = BUDGET_USD,
    zone: str = "UTC",
    database: str = "sqlite:cohort.db",
    books: str = 'prices = "prices.toml"',
    prices: str = PRICES,
    more: str = "",
) -> AsyncIterator[Cohort]:
    """Starts the sandbox and a service in front of it.

    Args:
        folder: Where config, pepper and keys go.
        server: More lines of [server].
        cohere: More lines of [cohere].
        pacing: The lines of [cohere.pacing].
        team: More lines of [teams.demo].
        limits: Lines of [teams.demo.limits].
        cohere_key: The demo team's Cohere key; None leaves its file out.
        taken: What the sandbox takes beside its own keys, from before the start.
        reference: Where it is kept, if not in that file.
        base_url: Another Cohere than the sandbox.
        models: The demo team's models, a TOML array.
        budget_usd: The demo team's daily budget.
        zone: Whose days they are.
        database: Where the books are kept.
        books: More lines of [books].
        prices: What prices.toml holds.
        more: More tables.
    """
    if "drain_seconds" not in server:
        server = f"drain_seconds = 5\n{server}"
    sandbox = Sandbox()
    sandbox.state.keys.add(taken)
    async with sandbox.serve() as url:
        access_key, key_lines = access_key_lines("demo", "tests", ["chat", "embed", "rerank"])
        narrow_key, narrow_lines = access_key_lines("demo", "narrow", ["usage:read"])
        expired_key, expired_lines = access_key_lines("demo", "old", ["chat"], days=-1)
        admin_key, admin_lines = access_key_lines("demo", "admin", ["admin"])
        rotator_key, rotator_lines = access_key_lines("demo", "rotator", ["keys:rotate"])
        (folder / "pepper").write_text(PEPPER)
        (folder / "prices.toml").write_text(prices)
        if cohere_key is not None:
            (folder / "demo.key").write_text(cohere_key)
        demo = team_lines(
            "demo", base_url or url, models=models, budget_usd=budget_usd, zone=zone, extra=team, cohere_key=reference
        )
        (folder / "cohort.toml").write_text(
            f'environment = "test"\n[server]\nlisten = "127.0.0.1:0"\n{server}\n'
            f'[metrics]\nlisten = "127.0.0.1:0"\n[cohere]\nsandbox = true\n{cohere}\n[cohere.pacing]\n{pacing}\n'
            '[peppers]\n1 = "file:pepper"\n'
            f"{books_lines(folder, database=database, more=books)}"
            f"{demo}[teams.demo.limits]\n{limits}\n{more}"
            f"{key_lines}{narrow_lines}{expired_lines}{admin_lines}{rotator_lines}"
        )
        take_over_keys(folder / "cohort.toml")
        log = io.BytesIO()
        async with (
            running(config.load(folder / "cohort.toml"), log) as service,
            grpc.aio.insecure_channel(
                f"127.0.0.1:{service.port}", options=[("grpc.max_receive_message_length", -1)]
            ) as channel,
        ):
            names = {"narrow": narrow_key, "expired": expired_key, "admin": admin_key, "rotator": rotator_key}
            yield Cohort(service, sandbox, url, folder, channel, access_key, log, names)
