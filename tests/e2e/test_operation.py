"""Health, reflection, reload, TLS, shutdown: what an operator relies on."""

import asyncio
import contextlib
import socket
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from cohort.v1.access_key_pb2 import CreateAccessKeyRequest
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub
from service import config
from service.config import ConfigError
from service.server import running
from tests.e2e.cohort_service import Cohort, cohort, team_lines
from tests.e2e.requests import chat, refused, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("name", ["", "cohort.v1.GatewayService"])
async def test_health_needs_no_credential(service: Cohort, name: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))

    assert answer.status == SERVING


async def test_an_unknown_service_has_no_health(service: Cohort) -> None:
    stub: Any = health_pb2_grpc.HealthStub(service.channel)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.Check(health_pb2.HealthCheckRequest(service="x"))

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_stop_turns_health_first_and_lets_calls_end(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with cohort(tmp_path) as service:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(service.target))
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            seen = [(await watch.read()).status]
            service.fault(latency_ms=700)
            call = GatewayServiceStub(channel).Chat(chat(), metadata=service.credentials)
            answer = asyncio.ensure_future(call)
            await until(service.sent)
        seen.append((await watch.read()).status)

        assert seen == [SERVING, NOT_SERVING]
        assert (await answer).message.content


async def test_a_stop_waits_for_attempts_whose_caller_left(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        service.fault(latency_ms=700)
        call = service.stub.Chat(chat(), metadata=service.credentials)
        await until(service.sent)
        call.cancel()
        await until(service.lines)

        assert not service.lines("drained")
    assert [line["code"] for line in service.lines("drained")] == ["OK"]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_answers_under_both_names(service: Cohort, version: str) -> None:
    call: Any = service.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await call.read()).list_services_response.service}

    assert {"cohort.v1.GatewayService", "grpc.health.v1.Health"} <= names


async def test_reflection_can_be_off(tmp_path: Path) -> None:
    async with cohort(tmp_path, server='reflection = "off"') as service:
        rpc: Any = service.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
        call = rpc(iter([b""]))
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call.read()

    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_metrics_are_served_on_their_own_port(service: Cohort) -> None:
    await service.stub.Chat(chat(), metadata=service.credentials)
    await refused(service.stub.Chat(chat()))
    url = f"http://127.0.0.1:{service.service.metrics_port}/metrics"
    text = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()

    assert 'cohort_calls_total{code="OK",reason="",rpc="/cohort.v1.GatewayService/Chat",team="demo"} 1.0' in text
    assert 'code="UNAUTHENTICATED",reason="CREDENTIAL_MISSING"' in text
    assert 'cohort_attempts_total{status="200",team="demo"} 1.0' in text


async def test_a_reload_brings_a_new_team_and_drops_no_call(service: Cohort) -> None:
    service.fault(latency_ms=500)
    running_call = asyncio.ensure_future(service.stub.Chat(chat(), metadata=service.credentials))
    (service.folder / "search.key").write_text("sandbox-trial")
    text = service.config_file.read_text() + team_lines("search", service.sandbox_url)
    service.config_file.write_text(text)
    await until(lambda: "search" in service.service.reloader.snapshot.clients)
    request = CreateAccessKeyRequest(team="search", name="indexer", scopes=["chat"])
    request.expire_time.FromSeconds(int(time.time()) + 3600)
    made = await service.admin.CreateAccessKey(request, metadata=service.key("admin"))
    answer = await service.stub.Chat(chat(), metadata=(("x-api-key", made.secret),))

    assert answer.receipt.call_id
    assert (await running_call).receipt.call_id


async def test_a_reload_that_removes_a_team_shuts_its_callers_out(service: Cohort) -> None:
    text = service.config_file.read_text()
    service.config_file.write_text(text.replace("[teams.demo]", "[teams.other]"))

    assert service.service.reloader.reload()
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    assert refusal.reason == "CREDENTIAL_REJECTED"
    assert service.lines()[-1]["credential_problem"] == "credential of demo, which is no team of the config"


async def test_a_reload_that_removes_a_pepper_shuts_its_keys_out(service: Cohort) -> None:
    text = service.config_file.read_text()
    service.config_file.write_text(text.replace('[peppers]\n1 = "file:pepper"', "[peppers]"))

    assert service.service.reloader.reload()
    refusal = await refused(service.stub.Chat(chat(), metadata=service.credentials))
    assert refusal.reason == "CREDENTIAL_REJECTED"


@pytest.mark.parametrize(
    "change",
    ["[server]\nunknown = 1", "not toml", '[server]\nlisten = "127.0.0.1:1"'],
    ids=["unknown", "toml", "restart"],
)
async def test_a_wrong_reload_changes_nothing(service: Cohort, change: str) -> None:
    before = service.service.reloader.snapshot
    text = service.config_file.read_text()
    service.config_file.write_text(text.replace("[server]", change, 1).replace('listen = "127.0.0.1:0"\n', "", 1))

    assert not service.service.reloader.reload()
    assert service.service.reloader.snapshot is before
    assert (await service.stub.Chat(chat(), metadata=service.credentials)).receipt.call_id
    assert service.lines("reload refused")


async def test_a_changed_key_file_is_used_without_a_restart(service: Cohort) -> None:
    (service.folder / "next").write_text("sandbox-trial\n")
    (service.folder / "next").rename(service.folder / "demo.key")
    await until(lambda: any(line["key_version"] == 2 for line in service.lines("cohere key in use")))
    await service.stub.Chat(chat(), metadata=service.credentials)

    assert service.sent()[-1].key_name == "sandbox-trial"


def issue(authority: trustme.CA, folder: Path) -> None:
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


async def served_certificate(port: int, authority: trustme.CA) -> bytes:
    def handshake() -> bytes:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2"])
        authority.configure_trust(context)
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert(binary_form=True) or b""

    return await asyncio.to_thread(handshake)


async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    authority = trustme.CA()
    issue(authority, tmp_path)
    tls = '[server.tls]\ncertificate_file = "cert.pem"\nprivate_key_file = "key.pem"'
    async with cohort(tmp_path, server=tls) as service:
        roots = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        async with grpc.aio.secure_channel(f"localhost:{service.service.port}", roots) as channel:
            answer = await GatewayServiceStub(channel).Chat(chat(), metadata=service.credentials)
        first = await served_certificate(service.service.port, authority)
        issue(authority, tmp_path)
        second = await served_certificate(service.service.port, authority)
        (tmp_path / "key.pem").write_text("broken")
        third = await served_certificate(service.service.port, authority)

    assert answer.receipt.call_id
    assert first != second == third


async def test_a_taken_port_is_one_clear_problem(service: Cohort) -> None:
    text = service.config_file.read_text().replace("127.0.0.1:0", service.target, 1).replace("cohort.db", "other.db")
    other = service.folder / "other.toml"
    other.write_text(text)
    with pytest.raises(ConfigError) as raised:
        async with running(config.load(other), service.log):
            pass

    assert raised.value.problems == [f"server.listen: {service.target} cannot be bound"]


async def test_an_unreadable_pepper_stops_the_start(service: Cohort) -> None:
    (service.folder / "pepper").unlink()
    with pytest.raises(ConfigError, match=r"peppers\.1: file:"):
        async with running(config.load(service.config_file), service.log):
            pass


async def test_a_log_that_cannot_be_written_fails_no_call(tmp_path: Path) -> None:
    async with cohort(tmp_path) as service:
        service.log.close()
        answer = await service.stub.Chat(chat(), metadata=service.credentials)
        url = f"http://127.0.0.1:{service.service.metrics_port}/metrics"
        text = (await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())).decode()

    assert answer.receipt.call_id
    assert "cohort_log_lines_lost 1.0" in text
