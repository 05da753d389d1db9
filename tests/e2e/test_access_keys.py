"""Access keys on running services: from the command that makes one to the call that it pays for, and its end."""

import asyncio
import datetime
import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import orjson
import pytest

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest, RevokeAccessKeyRequest
from cohort.v1.audit_pb2 import ListAuditRecordsRequest
from cohort.v1.get_usage_pb2 import GetUsageRequest
from service import config
from service.cli import main
from service.identity import access_keys
from service.server import running
from tests.e2e.cohort_service import CAP, Cohort, cohort
from tests.e2e.requests import chat, embed, refused
from tests.e2e.test_operators import operate
from tests.key_tables import access_key_lines

REPLICAS_AGREE_S = 2.0


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Cohort]:
    async with cohort(tmp_path) as running_service:
        yield running_service


def shown(access_key: str) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", access_key),)


async def created(service: Cohort, name: str = "indexer", **fields: object) -> tuple[str, str]:
    """A new key: its id and the whole of it."""
    request = CreateAccessKeyRequest(**{"team": "demo", "name": name, "scopes": ["chat"], **fields})  # type: ignore[arg-type]
    request.expire_time.FromSeconds(int(time.time()) + 3600)
    made = await service.admin.CreateAccessKey(request, metadata=service.key("admin"))
    return made.access_key.id, made.secret


async def test_the_commands_lead_to_a_call_a_rotation_and_the_end(
    service: Cohort, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--team", "demo", "--name", "indexer", "--scopes", "chat,keys:rotate", "--expires-in-days", "7"]
    assert await operate(service, "keys", "create", *words) == 0
    first = capfd.readouterr().out.strip()
    first_id = first.split("_")[2]
    answer = await service.stub.Chat(chat(), metadata=shown(first))
    service.access_keys["own"] = first
    assert await operate(service, "keys", "rotate", first_id, who="own") == 0
    second = capfd.readouterr().out.strip()
    for access_key in (first, second):
        await service.stub.Chat(chat(), metadata=shown(access_key))
    assert await operate(service, "keys", "revoke", first_id, "--note", "in a log") == 0
    refusal = await refused(service.stub.Chat(chat(), metadata=shown(first)))
    problem = service.lines()[-1]["credential_problem"]
    await operate(service, "keys", "list", "--team", "demo")
    listed = [line.split()[:4] for line in capfd.readouterr().out.splitlines() if "indexer" in line.split()]

    assert answer.receipt.call_id
    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert problem == f"revoked access key {first_id}"
    assert sorted(listed) == sorted(
        [["demo", "indexer", first_id, "revoked"], ["demo", "indexer", second.split("_")[2], "active"]]
    )
    page = await service.admin.ListAuditRecords(ListAuditRecordsRequest(), metadata=service.key("admin"))
    bodies = [orjson.loads(record.body_json) for record in page.records]
    assert [
        (body["event"], body["principal"], body["note"]) for body in bodies if body.get("access_key_id") == first_id
    ] == [
        ("access_key_created", "demo/admin", ""),
        ("access_key_rotated", "demo/indexer", ""),
        ("access_key_revoked", "demo/admin", "in a log"),
    ]


async def test_the_first_key_makes_the_others(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with cohort(tmp_path) as before:
        file = before.config_file
    file.write_text(file.read_text().replace('"sqlite:cohort.db"', '"sqlite:fresh.db"'))
    argv = ["init", "--config", str(file), "--team", "demo", "--name", "ada"]
    assert await asyncio.to_thread(main, argv) == 0
    (tmp_path / "ada.key").write_text(capfd.readouterr().out)
    async with running(config.load(file)) as service:
        flags = ["--target", f"127.0.0.1:{service.port}", "--access-key-file", str(tmp_path / "ada.key")]
        words = ["--team", "demo", "--name", "indexer", "--scopes", "usage:read"]
        assert await asyncio.to_thread(main, ["keys", "create", *words, *flags]) == 0
        (made,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith("cohort_"))  # amid the log
        (tmp_path / "indexer.key").write_text(made)
        flags[-1] = str(tmp_path / "indexer.key")
        assert await asyncio.to_thread(main, ["usage", *flags]) == 0
        assert await asyncio.to_thread(main, argv) == 2
        assert "books.database: " in capfd.readouterr().err
    assert await asyncio.to_thread(main, argv) == 1


async def test_a_narrow_key_is_held_to_its_models_and_its_cap(service: Cohort) -> None:
    _, access_key = await created(service, models=["command-a-03-2025", "of-nobody"], max_tokens_per_call=7)
    mine = shown(access_key)
    await service.stub.Chat(chat(), metadata=mine)
    sent = orjson.loads(service.sent()[-1].body)
    model = await refused(service.stub.Chat(chat(model="command-r7b-12-2024"), metadata=mine))
    tokens = await refused(service.stub.Chat(chat(max_tokens=8), metadata=mine))
    wide = await service.stub.Chat(chat(max_tokens=CAP), metadata=service.credentials)

    assert sent["max_tokens"] == 7
    assert (model.reason, model.info.metadata["allowed_models"]) == ("MODEL_NOT_ALLOWED", "command-a-03-2025")
    assert "this credential of team demo" in model.message
    assert (tokens.reason, tokens.info.metadata["cap"]) == ("MAX_TOKENS_ABOVE_CAP", "7")
    assert wide.receipt.call_id
    assert (await refused(service.stub.Embed(embed(), metadata=mine))).reason == "SCOPE_MISSING"


async def test_every_refused_key_gets_one_answer_and_its_own_word_in_the_log(service: Cohort) -> None:
    key_id, access_key = await created(service)
    gone_id, gone = await created(service, "gone")
    await service.admin.RevokeAccessKey(RevokeAccessKeyRequest(id=gone_id), metadata=service.key("admin"))
    forged = access_key[:-7] + ("a" if access_key[-7] != "a" else "b")
    expired = service.access_keys["expired"]
    unknown_id, unknown = access_keys.create("test")
    told: dict[str, str] = {
        access_key[:-1]: "malformed access key",
        access_keys.create("prod")[1]: "access key of another environment",
        unknown: f"unknown access key {unknown_id}",
        forged + access_keys.checksum_of(forged): f"wrong secret for access key {key_id}",
        expired: f"expired access key {expired.split('_')[2]}",
        gone: f"revoked access key {gone_id}",
    }
    answers = set()
    for presented, why in told.items():
        refusal = await refused(service.stub.Chat(chat(), metadata=shown(presented)))
        answers.add((refusal.code, refusal.reason, refusal.message, tuple(refusal.info.metadata.items())))
        assert service.lines()[-1]["credential_problem"] == why

    assert answers == {
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_REJECTED", "The credential is not valid", ()),
    }


async def test_a_row_that_somebody_wrote_into_the_database_lets_nobody_in(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        pass
    key_id, access_key = access_keys.create("test")
    database = sqlite3.connect(tmp_path / "cohort.db")
    database.execute(
        "INSERT INTO access_key SELECT ?, ?, pepper_version, team, name, scopes, models, max_tokens_per_call, "
        "created_at_us, created_by, expires_at_us, grant_expires_at_us, seal, 0, '', 0 FROM access_key "
        "WHERE name = 'admin'",
        (key_id, hashlib.sha256(access_key.encode()).digest()),
    )
    database.execute("UPDATE identity_version SET version = version + 1")
    database.commit()
    database.close()
    async with (
        running(config.load(service.config_file), service.log) as again,
        grpc.aio.insecure_channel(f"127.0.0.1:{again.port}") as channel,
    ):
        service.channel = channel
        refusal = await refused(service.stub.Chat(chat(), metadata=shown(access_key)))

    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert service.lines()[-1]["credential_problem"] == f"unknown access key {key_id}"
    (alert,) = [line for line in map(orjson.loads, service.log.getvalue().splitlines()) if line["event"] == "alert"]
    assert (alert["alert"], alert["level"], alert["credential_ids"]) == ("forged_credentials", "error", [key_id])


async def test_neither_a_key_nor_its_secret_reaches_the_log_or_the_database(service: Cohort) -> None:
    _, access_key = await created(service)
    await service.stub.Chat(chat(), metadata=shown(access_key))
    with sqlite3.connect(f"file:{service.folder / 'cohort.db'}?mode=ro", uri=True) as database:
        dump = "\n".join(database.iterdump())
    database.close()

    secret = access_key.rpartition("_")[2]
    for seen in (service.log.getvalue().decode(), dump):
        assert secret[:20] not in seen
        assert secret[20:43] not in seen


async def test_the_day_of_the_last_use_is_written_when_the_service_stops(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        await service.stub.Chat(chat(), metadata=service.credentials)
    rows = sqlite3.connect(tmp_path / "cohort.db").execute("SELECT name FROM access_key WHERE last_used_day > 0")

    assert rows.fetchall() == [("tests",)]
    rows.connection.close()


async def test_another_replica_follows_within_two_seconds(tmp_path: Path, postgres_url: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with (
        cohort(tmp_path / "one", database=postgres_url) as one,
        cohort(tmp_path / "two", database=postgres_url) as two,
    ):
        key_id, access_key = await created(one)
        made_s = await _until(two, access_key, "OK")
        await one.admin.RevokeAccessKey(RevokeAccessKeyRequest(id=key_id), metadata=one.key("admin"))
        revoked_s = await _until(two, access_key, "UNAUTHENTICATED")
        print(f"the other replica let the key in after {made_s:.2f} s, and out after {revoked_s:.2f} s")

        assert (await refused(one.stub.Chat(chat(), metadata=shown(access_key)))).reason == "CREDENTIAL_REJECTED"
    assert max(made_s, revoked_s) <= REPLICAS_AGREE_S


async def _until(service: Cohort, access_key: str, code: str) -> float:
    """Calls until calls end with *code*; for how many seconds that took."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < 10 * REPLICAS_AGREE_S:
        try:
            await service.stub.Chat(chat(), metadata=shown(access_key))
            ended = "OK"
        except grpc.aio.AioRpcError as error:
            ended = error.code().name
        if ended == code:
            return time.monotonic() - began_s
    raise AssertionError(f"calls never ended with {code}")


async def test_the_books_with_their_keys_verify(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with cohort(tmp_path) as service:
        key_id, _ = await created(service)
        await operate(service, "keys", "rotate", key_id)
        await operate(service, "keys", "revoke", key_id)
    capfd.readouterr()

    assert await asyncio.to_thread(main, ["audit", "verify", "--config", str(service.config_file)]) == 0


async def test_an_answer_that_was_lost_is_given_again_by_the_next_process(tmp_path: Path) -> None:
    request = CreateAccessKeyRequest(team="demo", name="indexer", scopes=["usage:read"], request_id="one")
    request.expire_time.FromDatetime(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    async with cohort(tmp_path) as service:
        first = await service.admin.CreateAccessKey(request, metadata=service.key("admin"))
        admin = service.key("admin")
    async with (
        running(config.load(service.config_file), service.log) as again,
        grpc.aio.insecure_channel(f"127.0.0.1:{again.port}") as channel,
    ):
        service.channel = channel
        repeated = await service.admin.CreateAccessKey(request, metadata=admin)
        await service.stub.GetUsage(GetUsageRequest(), metadata=shown(repeated.secret))

    assert repeated == first


async def test_a_config_with_keys_of_its_own_serves_once_they_are_imported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with cohort(tmp_path) as service:
        pass
    access_key, lines = access_key_lines("demo", "old", ["usage:read"])
    service.config_file.write_text(f"{service.config_file.read_text()}\n# ours\n{lines}")
    argv = ["--config", str(service.config_file)]
    assert await asyncio.to_thread(main, ["serve", *argv]) == 2
    assert "`cohort keys import`" in capfd.readouterr().err
    assert await asyncio.to_thread(main, ["keys", "import", *argv]) == 0

    async with (
        running(config.load(service.config_file), service.log) as again,
        grpc.aio.insecure_channel(f"127.0.0.1:{again.port}") as channel,
    ):
        service.channel = channel
        await service.stub.GetUsage(GetUsageRequest(), metadata=shown(access_key))
    assert "# ours" in service.config_file.read_text()
