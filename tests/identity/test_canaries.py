"""No secret of a service comes out of it: whoever presents it, whatever fails, however it is encoded."""

import asyncio
import base64
from collections.abc import Awaitable
from pathlib import Path

import pytest

from clients.sandbox import Fault
from clients.sandbox.keys import Key
from cohort.v1.access_key_pb2 import CreateAccessKeyResponse, RotateAccessKeyResponse
from cohort.v1.budget_pb2 import AdjustBudgetRequest
from cohort.v1.usage_pb2 import Money
from service.identity.access_keys import PREFIX
from service.identity.principal import Principal
from service.identity.scopes import ADMIN
from tests.e2e import requests
from tests.identity import sinks
from tests.identity.canaries import Hit, canary, hits, shapes
from tests.identity.minters import STATES, Holder, Presented, bearer
from tests.identity.rpcs import ENTRIES, RPCS, TEAM, Ended, narrowest
from tests.identity.scene import Scene, scene
from tests.key_tables import PEPPER

CHAT = "/cohort.v1.GatewayService/Chat"
CHAT_STREAM = "/cohort.v1.GatewayService/ChatStream"
SHOWN = (
    *("LoadedConfig", "Snapshot", "Running", "Authenticator", "ContentHasher", "KeyRing", "CohereKey", "Call("),
    *("TokenCache", "AccessKeys", "AccessKeyRecord", "Introspection", "SigningKey"),
)
"""Objects that must have been among those looked at."""
FAULTS = (
    {"status": 401, "message": "invalid api token {cohere_key}"},
    {"status": 403, "message": "{cohere_key} may not"},
    {"status": 500, "message": "failed for Bearer {cohere_key}"},
    {"status": 502, "body": "html", "message": "{cohere_key}"},
    {"disconnect": True},
    {"cut_after_bytes": 20},
    {"headers": {"x-debug-trace-id": "{cohere_key}"}, "status": 400, "message": "no"},
)


class Secrets:
    """Every secret of a run, by what it is. A later part adds its own here, or by `add` while it runs."""

    def __init__(self) -> None:
        self.values = {
            "Cohere key": canary(),
            "Cohere key after rotation": canary(),
            "client secret": canary(),
            "database password": canary(),
            "prompt": canary(),
            "pepper": PEPPER,
        }

    def add_files(self, made: Scene) -> None:
        """What the scene has made by itself."""
        folder = made.folder
        self.values["audit HMAC key"] = (folder / "audit-hmac.key").read_text().strip()
        self.values["audit signing key"] = _body((folder / "audit-signing.key").read_text())
        self.values["TLS private key"] = _body((folder / "server.key").read_text())
        self.values["private key of a service account"] = made.minters.service_account.key.private_bytes_raw().hex()

    def add_shown(self, what: str, shown: Presented) -> None:
        """What a caller presents: of a key what is not its public id, of a JWT its signature."""
        for _, value in shown.metadata:
            self.add(what, value.removeprefix("Bearer "))
        if shown.certificate is not None:
            self.values[f"{what} (private key)"] = _body(shown.certificate.key_pem.decode())

    def add(self, what: str, credential: str) -> None:
        if credential.startswith(PREFIX):
            credential = credential.split("_", 3)[3]
        self.values[what] = credential.rpartition(".")[2]


def _body(pem: str) -> str:
    """Lines of a PEM that hold the key itself."""
    lines = [line for line in pem.splitlines() if "-----" not in line]
    return lines[len(lines) // 2]


async def call_all(made: Scene, secrets: Secrets) -> list[Ended]:
    """Every kind of credential in every state, and broken ones; every RPC as an operator."""
    calls: list[Awaitable[Ended]] = []
    for kind, minter in made.minters.by_kind().items():
        for state in STATES:
            shown = minter.mint(Holder(TEAM, "chat", state))
            secrets.add_shown(f"{kind}, {state}", shown)
            channel = made.channel(shown.certificate)
            request = requests.chat(secrets.values["prompt"])
            calls += [RPCS[path].call(channel, request, shown.metadata) for path in (CHAT, CHAT_STREAM)]
            calls += [RPCS[CHAT].call(channel, request, shown.metadata * 2)]
            broken = Presented(tuple((name, f"{value[:-1]}!") for name, value in shown.metadata))
            calls.append(RPCS[CHAT].call(channel, request, broken.metadata))
    # One that is everything but of this environment, and one that is nothing.
    calls += [RPCS[CHAT].call(made.channel(), requests.chat(), bearer(f"cohort_prod_{canary()}").metadata)]
    return list(await asyncio.gather(*calls))


async def operate(made: Scene, secrets: Secrets) -> list[Ended]:
    """Every RPC with the narrowest scope; the access keys that some of them show are secrets as well."""
    ended: list[Ended] = []
    for path, entry in ENTRIES.items():
        shown = made.minters.access_key.mint(Holder(TEAM, narrowest(path)))
        secrets.add_shown(f"access key for {path}", shown)
        result = await RPCS[path].call(made.channel(), entry.request(made), shown.metadata)
        assert result.code == "OK", (path, result)
        ended.append(result)
    by_name = dict(zip(ENTRIES, ended, strict=True))
    created = CreateAccessKeyResponse.FromString(by_name["/cohort.v1.AdminService/CreateAccessKey"].answer)
    rotated = RotateAccessKeyResponse.FromString(by_name["/cohort.v1.AdminService/RotateAccessKey"].answer)
    secrets.add("access key, created", created.secret)
    secrets.add("access key, rotated", rotated.secret)
    fresh = [bearer(each.secret).metadata for each in (created, rotated)]
    return [*ended, *[await RPCS[CHAT].call(made.channel(), requests.chat(), metadata) for metadata in fresh]]


async def fail_at_cohere(made: Scene, secrets: Secrets) -> list[Ended]:
    """Answers that quote the Cohere key, and connections that break."""
    ended: list[Ended] = []
    shown = made.minters.access_key.mint(Holder(TEAM, "chat"))
    for fault in FAULTS:
        for path in (CHAT, CHAT_STREAM):
            fields = {name: _quoting(value, secrets.values["Cohere key"]) for name, value in fault.items()}
            made.sandbox.state.faults.add([Fault.model_validate(fields)])
            ended.append(await RPCS[path].call(made.channel(), requests.chat(), shown.metadata))
            made.sandbox.state.faults.clear()
    return ended


def _quoting(value: object, cohere_key: str) -> object:
    if isinstance(value, dict):
        return {name: _quoting(each, cohere_key) for name, each in value.items()}
    return value.replace("{cohere_key}", cohere_key) if isinstance(value, str) else value


async def change(made: Scene, secrets: Secrets) -> list[Ended]:
    """Reloads that pass and that are refused, another Cohere key, a Cohere key that is gone."""
    reloader, config = made.service.reloader, made.folder / "cohort.toml"
    assert reloader.reload()
    good = config.read_text()
    misplaced = secrets.values["client secret"]
    for wrong in (f'nonsense = "{misplaced}"\n{good}', f"{misplaced}\n{good}", good.replace("file:pepper", misplaced)):
        config.write_text(wrong)
        assert not reloader.reload()
    config.write_text(good)
    rotated = secrets.values["Cohere key after rotation"]
    made.sandbox.state.keys.add([Key("rotated", rotated, "sandbox-organization")])
    shown = made.minters.access_key.mint(Holder(TEAM, "chat"))
    ended = []
    for value in (rotated, canary(), ""):
        (made.folder / "cohere.key").write_text(value)
        reloader.renew_keys()
        ended.append(await RPCS[CHAT].call(made.channel(), requests.chat(), shown.metadata))
    return ended


async def lived(made: Scene, secrets: Secrets) -> list[Ended]:
    secrets.add_files(made)
    made.sandbox.state.keys.add([Key("canary", secrets.values["Cohere key"], "sandbox-organization")])
    return [
        *await call_all(made, secrets),
        *await operate(made, secrets),
        *await fail_at_cohere(made, secrets),
        *await change(made, secrets),
    ]


async def plant(made: Scene, planted: str) -> tuple[list[Ended], Principal]:
    """Puts a value where it is allowed to be, so that each sink is seen to be looked into."""
    operator = made.minters.access_key.mint(Holder(TEAM, ADMIN))
    note = AdjustBudgetRequest(team=TEAM, amount=Money(nanos=1), note=planted, request_id="planted")
    await RPCS["/cohort.v1.AdminService/AdjustBudget"].call(made.channel(), note, operator.metadata)
    shown = made.minters.access_key.mint(Holder(TEAM, "chat"))
    refused = await RPCS[CHAT].call(made.channel(), requests.chat(model=planted), shown.metadata)
    print(planted)
    return [refused], Principal(TEAM, planted, frozenset(), "access_key", "planted", models=frozenset({planted}))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.prove, pytest.mark.prove_short])])
def database(request: pytest.FixtureRequest) -> tuple[str, bool]:
    """A database's URL, and whether there is a password."""
    if request.param == "sqlite":
        return "sqlite:cohort.db", False
    return str(request.getfixturevalue("postgres_url")), True


@pytest.mark.slow
async def test_no_secret_comes_out(
    database: tuple[str, bool], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url, has_password = database
    secrets, planted = Secrets(), canary()
    (tmp_path / "database.password").write_text(secrets.values["database password"])
    async with scene(
        tmp_path,
        database=url,
        books='database_password = "file:database.password"' if has_password else "",
        cohere_key=secrets.values["Cohere key"],
        client_secret=secrets.values["client secret"],
    ) as made:
        ended = await lived(made, secrets)
        refused, held = await plant(made, planted)
        found = {
            "database": await sinks.dumped(made.service.kept.books, url.partition(":")[0]),
            "files in use": sinks.files(made),
            "metrics": sinks.metrics(made),
            "objects": sinks.shown_objects(),
            "statuses": sinks.statuses([*ended, *refused]),
        }
    assert held.name == planted  # it was alive until here
    found |= {"files": sinks.files(made), "log": made.log.getvalue(), **sinks.output(capfd)}
    traces = hits(secrets.values, found)
    with capfd.disabled():
        sizes = ", ".join(f"{name} {len(content):,}" for name, content in found.items())
        print(
            f"\ncanaries on {url.partition(':')[0]}: {len(secrets.values)} secrets x {len(shapes(planted))} shapes,"
            f" {len(ended)} calls, {len(traces)} hits in bytes: {sizes}"
        )

    assert traces == []
    seen = {hit.sink for hit in hits({"planted": planted}, found)}
    kept_in_files = {"files", "files in use"} if not has_password else set()
    assert seen == {"database", "objects", "statuses", "log", "stdout"} | kept_in_files
    assert b'team="search"' in found["metrics"]
    assert [name for name in SHOWN if name.encode() not in found["objects"]] == []


@pytest.mark.parametrize("shape", shapes(canary()))
@pytest.mark.parametrize("before", [b"", b"\x00", b'{"a":"', b"\xff\xfe\n"])
def test_a_canary_is_found_in_every_shape(shape: str, before: bytes) -> None:
    secret, other = canary(), canary()
    content = before + shapes(secret)[shape] + b'"} and more'

    assert Hit("it", shape, "log") in hits(
        {"it": secret, "other": other}, {"log": content, "nothing": other[1:5].encode()}
    )
    assert {hit.sink for hit in hits({"it": secret, "other": other}, {"log": content, "none": before})} == {"log"}


@pytest.mark.parametrize("offset", range(3))
def test_a_canary_is_found_in_base64_whatever_stands_before_and_after_it(offset: int) -> None:
    secret = canary()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        content = encode(b"x" * (3 + offset) + secret.encode() + b"yz")
        assert hits({"it": secret}, {"log": content})
