"""The tools that operators and meshes use, as they come: grpcurl and grpc-health-probe against the running service."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.cohort_service import Cohort

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"
ONE_LINER = '{"model":"command-a-03-2025","messages":[{"role":"user","text":"Hi"}]}'


def tool(name: str) -> str:
    found = shutil.which(name, path=str(TOOLS)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: make peers")
    return found


async def run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_grpcurl_lists_the_services(service: Cohort) -> None:
    status, out, _ = await run(tool("grpcurl"), "-plaintext", service.target, "list")

    assert status == 0
    assert {"cohort.v1.GatewayService", "grpc.health.v1.Health"} <= set(out.split())


async def test_grpcurl_describes_an_rpc_with_its_comment(service: Cohort) -> None:
    status, out, _ = await run(tool("grpcurl"), "-plaintext", service.target, "describe", "cohort.v1.ChatRequest")

    assert status == 0
    assert "repeated .cohort.v1.ChatMessage messages" in out


async def test_grpcurl_gets_a_chat_answered_by_one_line(service: Cohort) -> None:
    status, out, err = await run(
        tool("grpcurl"), "-plaintext", "-H", f"x-api-key: {service.access_key}", "-d", ONE_LINER, service.target,
        "cohort.v1.GatewayService/Chat",
    )  # fmt: skip

    assert status == 0, err
    answer = json.loads(out)
    assert answer["message"]["content"][0]["text"]
    assert answer["receipt"]["call_id"]


async def test_grpcurl_gets_a_stream(service: Cohort) -> None:
    status, out, err = await run(
        tool("grpcurl"), "-plaintext", "-H", f"authorization: Bearer {service.access_key}", "-d", ONE_LINER,
        service.target, "cohort.v1.GatewayService/ChatStream",
    )  # fmt: skip

    assert status == 0, err
    assert '"message_start"' in out
    assert '"message_end"' in out


async def test_grpcurl_shows_the_details_of_a_refusal(service: Cohort) -> None:
    status, _, err = await run(
        tool("grpcurl"), "-plaintext", "-H", f"x-api-key: {service.access_key}", "-d",
        ONE_LINER.replace("command-a-03-2025", "gpt-9"), service.target, "cohort.v1.GatewayService/Chat",
    )  # fmt: skip

    assert status != 0
    assert "MODEL_NOT_ALLOWED" in err
    assert "PermissionDenied" in err


async def test_grpcurl_asks_for_health(service: Cohort) -> None:
    status, out, _ = await run(tool("grpcurl"), "-plaintext", service.target, "grpc.health.v1.Health/Check")

    assert status == 0
    assert json.loads(out) == {"status": "SERVING"}


@pytest.mark.parametrize("name", ["", "cohort.v1.GatewayService"])
async def test_the_health_probe_of_meshes_is_satisfied(service: Cohort, name: str) -> None:
    status, _, err = await run(tool("grpc-health-probe"), f"-addr={service.target}", f"-service={name}")

    assert status == 0, err
    assert "status: SERVING" in err
