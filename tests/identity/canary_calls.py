"""What a service goes through while its secrets are looked for: each credential, each RPC, failures, reloads."""

import asyncio
from collections.abc import Awaitable

from clients.sandbox import Fault
from clients.sandbox.keys import Key
from cohort.v1.access_key_pb2 import CreateAccessKeyResponse, RotateAccessKeyResponse
from cohort.v1.rotate_key_pb2 import RotateKeyRequest
from tests.e2e import requests
from tests.identity.canaries import Secrets, canary
from tests.identity.minters import STATES, Holder, Presented, bearer
from tests.identity.rpcs import ENTRIES, RPCS, TEAM, Ended, narrowest
from tests.identity.scene import Scene

CHAT = "/cohort.v1.GatewayService/Chat"
ROTATE = "/cohort.v1.GatewayService/RotateKey"
HELD = "kept"
"""A team whose Cohere key Cohort holds."""
CHAT_STREAM = "/cohort.v1.GatewayService/ChatStream"
FAULTS = (
    {"status": 401, "message": "invalid api token {cohere_key}"},
    {"status": 500, "message": "failed for Bearer {cohere_key}"},
    {"status": 502, "body": "html", "message": "{cohere_key}"},
    {"disconnect": True},
    {"cut_after_bytes": 20},
    {"headers": {"x-debug-trace-id": "{cohere_key}"}, "status": 400, "message": "no"},
    {"status": 403, "message": "{cohere_key} may not"},  # the last: no other call is sent with this key then
)


async def lived(made: Scene, secrets: Secrets) -> list[Ended]:
    """All of it."""
    secrets.add_files(made.folder)
    made.sandbox.state.keys.add([Key("canary", secrets.texts["Cohere key"], "sandbox-organization")])
    await usable(made)
    return [
        *await call_all(made, secrets),
        *await operate(made, secrets),
        *await fail_at_cohere(made, secrets),
        *await change(made, secrets),
        *await rotate(made, secrets),
    ]


async def rotate(made: Scene, secrets: Secrets) -> list[Ended]:
    """Keys given to Cohort to hold: good ones, one that fails, with a probe, in trials, and where none is taken."""
    first, second, wrong = (secrets.texts[f"Cohere key given inline{which}"] for which in ("", ", next", ", refused"))
    made.sandbox.state.keys.add([Key(name, name, "sandbox-organization") for name in (first, second)])
    shown = made.minters.access_key.mint(Holder(TEAM, "admin"))
    asked = [
        RotateKeyRequest(team=HELD, inline_key=first, request_id="canary"),
        RotateKeyRequest(team=HELD, inline_key=second, request_id="canary"),
        RotateKeyRequest(team=HELD, inline_key=wrong),
        RotateKeyRequest(team=HELD, inline_key=f"Bearer {wrong}"),
        RotateKeyRequest(team=HELD, inline_key=second, validate_only=True, probe=True),
        RotateKeyRequest(team=HELD, inline_key=second, probe=True),
        RotateKeyRequest(team=TEAM, inline_key=wrong),
        RotateKeyRequest(team=HELD, inline_key=wrong * 200),
        RotateKeyRequest(team=wrong[:40], inline_key=wrong, overlap_seconds=-1),
    ]
    ended = [await RPCS[ROTATE].call(made.channel(), request, shown.metadata) for request in asked]
    said = ["", "REQUEST_ID_REUSED", "", "", "", "", "KEY_SOURCE_READ_ONLY", "REQUEST_INVALID", "REQUEST_INVALID"]
    assert [each.reason for each in ended] == said
    keys = made.service.reloader.snapshot.clients[HELD].keys
    assert keys.in_use is not None
    assert keys.in_use.reveal() == second
    return ended


async def usable(made: Scene) -> None:
    """Waits until the team's Cohere key is good, which at the start it was not, nor after a 401."""
    keys = made.service.reloader.snapshot.clients[TEAM].keys
    await requests.until(lambda: keys.refusal is None)


async def call_all(made: Scene, secrets: Secrets) -> list[Ended]:
    """Every kind of credential in every state, broken ones, and what is no credential here but a secret elsewhere."""
    calls: list[Awaitable[Ended]] = []
    for kind, minter in made.minters.by_kind().items():
        for state in STATES:
            shown = minter.mint(Holder(TEAM, "chat", state))
            secrets.add_presented(f"{kind}, {state}", shown)
            channel = made.channel(shown.certificate)
            request = requests.chat(secrets.texts["prompt"])
            calls += [RPCS[path].call(channel, request, shown.metadata) for path in (CHAT, CHAT_STREAM)]
            calls += [RPCS[CHAT].call(channel, request, shown.metadata * 2)]
            broken = Presented(tuple((name, f"{value[:-1]}!") for name, value in shown.metadata))
            calls.append(RPCS[CHAT].call(channel, request, broken.metadata))
    for what in ("refresh token", "client secret", "Cohere key", "pepper"):
        calls.append(RPCS[CHAT].call(made.channel(), requests.chat(), bearer(secrets.texts[what]).metadata))
    # One that is everything but of this environment.
    calls += [RPCS[CHAT].call(made.channel(), requests.chat(), bearer(f"cohort_prod_{canary()}").metadata)]
    return list(await asyncio.gather(*calls))


async def operate(made: Scene, secrets: Secrets) -> list[Ended]:
    """Every RPC with the narrowest scope; the access keys that some of them show are secrets as well."""
    ended: list[Ended] = []
    for path, entry in ENTRIES.items():
        shown = made.minters.access_key.mint(Holder(TEAM, narrowest(path)))
        secrets.add_presented(f"access key for {path}", shown)
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
            await usable(made)
            fields = {name: _quoting(value, secrets.texts["Cohere key"]) for name, value in fault.items()}
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
    misplaced = secrets.texts["client secret"]
    for wrong in (f'nonsense = "{misplaced}"\n{good}', f"{misplaced}\n{good}", good.replace("file:pepper", misplaced)):
        config.write_text(wrong)
        assert not reloader.reload()
    config.write_text(good)
    rotated = secrets.texts["Cohere key after rotation"]
    made.sandbox.state.keys.add([Key("rotated", rotated, "sandbox-organization")])
    shown = made.minters.access_key.mint(Holder(TEAM, "chat"))
    ended = []
    wrong_key = secrets.values["Cohere key, refused"] = canary()
    keys = reloader.snapshot.clients[TEAM].keys
    for value in (rotated, wrong_key, f"'{wrong_key}'", ""):
        (made.folder / "cohere.key").write_text(value)
        await keys.renewed()
        ended.append(await RPCS[CHAT].call(made.channel(), requests.chat(), shown.metadata))
    (made.folder / "cohere.key").write_text(rotated)
    await keys.renewed()
    return ended
