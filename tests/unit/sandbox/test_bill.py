import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sandbox import Sandbox, serve_forever
from clients.sandbox.models import MODELS
from clients.sandbox.prices import PRICES, cost_nanos
from clients.sandbox.request_log import BYTES_KEPT, REQUESTS_KEPT, RequestLog, SeenRequest
from tests.unit.sandbox.conftest import HI, Local

EMBED: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query", "texts": ["one two"]}
RERANK: dict[str, Any] = {"model": "rerank-v4.0-pro", "query": "q", "documents": ["a"]}


@given(model=st.sampled_from(sorted(PRICES)), data=st.data())
def test_a_cost_is_the_exact_price_rounded_up(model: str, data: st.DataObject) -> None:
    counts = st.fixed_dictionaries(dict.fromkeys(PRICES[model], st.integers(0, 10**9)))
    units: dict[str, int] = data.draw(counts)
    exact = sum((Fraction(units[unit] * price, 10**6) for unit, price in PRICES[model].items()), Fraction(0)) * 1000

    assert exact <= cost_nanos(model, units) < exact + 1


def test_half_a_nano_is_rounded_up() -> None:
    assert cost_nanos("command-r7b-12-2024", {"input_tokens": 1, "output_tokens": 0}) == 38


def test_every_model_has_a_price() -> None:
    assert set(PRICES) == set(MODELS)


async def test_the_bill_is_the_sum_of_what_the_answers_said(local: Local) -> None:
    expected = 0
    for number in range(3):
        chat = await local.chat(max_tokens=number + 1)
        expected += cost_nanos(HI["model"], chat.json["usage"]["billed_units"])
    for path, body in (("/v2/embed", EMBED), ("/v2/rerank", RERANK)):
        answered = await local.ask("POST", path, body)
        expected += cost_nanos(body["model"], answered.json["meta"]["billed_units"])
    await local.chat(key="sandbox-trial")
    bill = await local.bill()

    account = bill["keys"]["sandbox-production"]
    assert account["cost_nanos"] == expected
    assert account["attempts_billed"] == 5
    assert account["models"][HI["model"]]["billed_units"] == {"input_tokens": 3, "output_tokens": 6}
    assert sum(attempt["cost_nanos"] for attempt in account["attempts"]) == expected
    assert bill["cost_nanos"] == expected + bill["keys"]["sandbox-trial"]["cost_nanos"]


async def test_an_attempt_is_found_by_its_trace_id(local: Local) -> None:
    answered = await local.chat()
    (attempt,) = (await local.bill())["keys"]["sandbox-production"]["attempts"]

    assert attempt["debug_trace_id"] == answered.headers["x-debug-trace-id"]
    assert attempt["path"] == "/v2/chat"
    assert attempt["billed_units"] == answered.json["usage"]["billed_units"]
    assert attempt["fault"] == []


async def test_the_price_list_is_served(local: Local) -> None:
    served = (await local.ask("GET", "/sandbox/prices")).json["micros_per_million_units"]
    assert served["command-a-03-2025"] == {"input_tokens": 2_500_000, "output_tokens": 10_000_000}


async def test_a_reset_forgets_everything(local: Local) -> None:
    first = (await local.chat()).json["id"]
    await local.queue(status=500)
    await local.ask("PUT", "/sandbox/keys", {"keys": [{"key": "mine"}]})
    await local.ask("POST", "/sandbox/reset")

    assert await local.bill() == {"cost_nanos": 0, "keys": {}}
    assert (await local.ask("GET", "/sandbox/requests")).json == {"requests": []}
    assert (await local.chat(key="mine")).status == 401
    await local.ask("POST", "/sandbox/reset")
    again = await local.chat()
    assert (again.status, again.json["id"]) == (200, first)


async def test_a_request_is_remembered_as_it_was_sent(local: Local) -> None:
    local.headers = {"X-Client-Name": "tests"}
    await local.chat(seed=7)
    await local.ask("POST", "/v2/chat", b"no json", key="unknown")
    first, second = (await local.ask("GET", "/sandbox/requests")).json["requests"]

    assert first["body"] == {**HI, "seed": 7}
    assert (first["path"], first["key"]) == ("/v2/chat", "sandbox-production")
    assert first["headers"]["x-client-name"] == "tests"
    assert "authorization" not in first["headers"]
    assert (second["body"], second["body_bytes"], second["key"]) == (None, 7, "")


@pytest.mark.parametrize(("count", "size", "kept"), [(REQUESTS_KEPT + 5, 1, REQUESTS_KEPT), (5, BYTES_KEPT // 2, 2)])
def test_old_requests_make_room_for_new_ones(count: int, size: int, kept: int) -> None:
    log = RequestLog()
    for number in range(count):
        log.add(SeenRequest(float(number), "/v2/chat", "", {}, bytes(size)))

    assert [request.at_s for request in log.all()] == [float(number) for number in range(count - kept, count)]


async def test_the_sandbox_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback"):
        async with Sandbox().serve(host="0.0.0.0"):
            pass
    with pytest.raises(ValueError, match="loopback"):
        await serve_forever("192.0.2.1:0")


async def test_it_serves_until_it_is_cancelled() -> None:
    task = asyncio.create_task(serve_forever("[::1]:0"))
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_bill_file_keeps_every_attempt_with_its_request(tmp_path: Path) -> None:
    file = tmp_path / "bill.jsonl"
    sandbox = Sandbox(bill_file=file)
    async with sandbox.serve() as url, aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-trial"}) as http:
        for body in (HI, HI | {"temperature": 9}, HI | {"max_tokens": 2}):
            await (await http.post(f"{url}/v2/chat", json=body)).read()
        (key,) = sandbox.state.bill.described()["keys"].values()
        sandbox.state.reset()
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]

    assert [line["request"] for line in lines] == [HI, HI | {"max_tokens": 2}]
    assert [line["key"] for line in lines] == ["sandbox-trial"] * 2
    assert [{name: line[name] for name in attempt} for line, attempt in zip(lines, key["attempts"], strict=True)] == (
        key["attempts"]
    )
    assert lines[0]["at_us"] <= lines[1]["at_us"]
