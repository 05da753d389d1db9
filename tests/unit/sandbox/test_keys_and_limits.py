from typing import Any

import pytest

from clients.sandbox import keys
from tests.unit.sandbox.conftest import Local

EMBED: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query"}


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("sandbox-production", 200, ""),
        ("sandbox-trial", 200, ""),
        ("sandbox-expired", 401, "invalid api token"),
        ("sandbox-no-billing", 402, "payment method"),
        ("sandbox-forbidden", 403, "not permitted"),
        ("sandbox-rate-limited", 429, "per minute"),
        ("sandbox-monthly-cap", 429, "1000 API calls / month"),
        ("never-issued", 401, "invalid api token"),
        ("", 401, "no api key supplied"),
    ],
)
async def test_a_key_is_answered_as_its_state_demands(local: Local, key: str, status: int, words: str) -> None:
    answered = await local.chat(key=key)

    assert answered.status == status
    assert words in answered.json.get("message", "") or status == 200
    assert ((await local.bill())["cost_nanos"] > 0) == (status == 200)


@pytest.mark.parametrize(
    ("key", "status"), [("sandbox-production", 200), ("sandbox-no-billing", 200), ("sandbox-expired", 401)]
)
async def test_checking_a_key_costs_nothing_and_asks_only_if_it_lives(local: Local, key: str, status: int) -> None:
    answered = await local.ask("POST", "/v1/check-api-key", key=key)

    assert answered.status == status
    assert (await local.bill())["keys"] == {}


async def test_keys_rotate_by_steps(local: Local) -> None:
    old = {"key": "old-secret", "name": "old", "organization_id": "acme"}
    new = {"key": "new-secret", "name": "new", "organization_id": "acme"}
    seen = []
    for valid in ([old], [old, new], [new]):
        await local.ask("PUT", "/sandbox/keys", {"keys": valid})
        seen.append([(await local.chat(key=key["key"])).status for key in (old, new)])
    checked = (await local.ask("POST", "/v1/check-api-key", key="new-secret")).json

    assert seen == [[200, 401], [200, 200], [401, 200]]
    assert checked["organization_id"] == "acme"
    assert set((await local.bill())["keys"]) == {"old", "new"}
    assert (await local.chat(key="sandbox-production")).status == 200


async def test_an_added_key_changes_its_state(local: Local) -> None:
    for state, status in (("active", 200), ("no_billing", 402), ("active", 200)):
        await local.ask("POST", "/sandbox/keys", {"keys": [{"key": "mine", "name": "mine", "state": state}]})
        assert (await local.chat(key="mine")).status == status


@pytest.mark.parametrize(
    "given", [{}, {"keys": 1}, {"keys": [{"key": ""}]}, {"keys": [{"key": "a", "state": "sad"}]}, [],
              {"keys": [{"key": "a", "colour": 1}]}, {"keys": [{"key": "a", "trial": "yes"}]}]
)  # fmt: skip
async def test_what_is_no_list_of_keys_is_refused(local: Local, given: Any) -> None:
    answered = await local.ask("POST", "/sandbox/keys", given)

    assert answered.status == 400
    assert answered.json["error"]


async def test_too_many_keys_are_refused_and_change_nothing(local: Local) -> None:
    many = [{"key": f"key-{number}"} for number in range(keys.KEYS_MAX)]
    answered = await local.ask("PUT", "/sandbox/keys", {"keys": many})

    assert answered.status == 400
    listed = (await local.ask("GET", "/sandbox/keys")).json["keys"]
    assert [key["name"] for key in listed] == [key.name for key in keys.WELL_KNOWN]


async def test_no_secret_is_ever_shown(local: Local) -> None:
    secret = "s3cret-of-acme"
    await local.ask("POST", "/sandbox/keys", {"keys": [{"key": secret}]})
    await local.chat(key=secret)
    key = keys.key_of({"key": secret})

    for path in ("keys", "requests", "bill"):
        assert secret.encode() not in (await local.ask("GET", f"/sandbox/{path}")).raw
    assert secret not in repr(key)


async def test_a_trial_key_is_told_what_remains(local: Local) -> None:
    local.key = "sandbox-trial"
    first, second = await local.chat(), await local.chat()
    refused = await local.chat(temperature=9)
    limited = await local.chat(key="sandbox-monthly-cap")
    paying = await local.chat(key="sandbox-production")

    remaining = "x-trial-endpoint-call-remaining"
    assert [answer.headers[remaining] for answer in (first, second, refused)] == ["19", "18", "18"]
    assert first.headers["x-trial-endpoint-call-limit"] == "20"
    assert first.headers["x-endpoint-monthly-call-limit"] == "1000"
    assert limited.status == 429
    assert remaining not in limited.headers
    assert remaining not in paying.headers


async def test_limits_hold_only_once_they_are_enforced(local: Local) -> None:
    local.key = "sandbox-trial"
    free = [(await local.chat()).status for _ in range(25)]
    await local.ask("PUT", "/sandbox/limits", {"enforced": "trial"})
    local.clock.now_s += 60
    held = [(await local.chat()).status for _ in range(22)]
    production = [(await local.chat(key="sandbox-production")).status for _ in range(22)]
    local.clock.now_s += 60
    later = await local.chat()

    assert free == [200] * 25
    assert held == [200] * 20 + [429] * 2
    assert production == [200] * 22
    assert later.status == 200


async def test_embed_is_limited_by_its_inputs(local: Local) -> None:
    await local.ask("PUT", "/sandbox/limits", {"enforced": "all"})
    body = {**EMBED, "texts": ["a"] * 96, "output_dimension": 256}
    statuses = [(await local.ask("POST", "/v2/embed", body)).status for _ in range(21)]

    assert statuses == [200] * 20 + [429]
    fits = {**body, "texts": ["a"] * (2000 - 20 * 96)}
    assert (await local.ask("POST", "/v2/embed", fits)).status == 200


@pytest.mark.parametrize(("minutes", "later"), [("fixed", 200), ("sliding", 429)])
async def test_minutes_are_fixed_or_begin_anywhere(local: Local, minutes: str, later: int) -> None:
    await local.ask("PUT", "/sandbox/limits", {"enforced": "all", "minutes": minutes})
    body = {**EMBED, "texts": ["a"] * 80, "output_dimension": 256}
    local.clock.now_s += 60 - local.clock.now_s % 60 + 59
    first = [(await local.ask("POST", "/v2/embed", body)).status for _ in range(25)]
    local.clock.now_s += 2
    second = (await local.ask("POST", "/v2/embed", body)).status
    local.clock.now_s += 58
    third = (await local.ask("POST", "/v2/embed", body)).status

    assert (first, second, third) == ([200] * 25, later, 200)


async def test_a_trial_key_embeds_a_hundred_thousand_tokens_a_minute(local: Local) -> None:
    await local.ask("PUT", "/sandbox/limits", {"enforced": "trial"})
    body = {**EMBED, "texts": [" a" * 60_000], "output_dimension": 256}
    first = await local.ask("POST", "/v2/embed", body, key="sandbox-trial")
    second = await local.ask("POST", "/v2/embed", body, key="sandbox-trial")

    assert (first.status, second.status) == (200, 429)
    assert "100000 tokens per minute" in second.json["message"]


async def test_a_trial_key_has_a_thousand_calls_a_month(local: Local) -> None:
    await local.ask("PUT", "/sandbox/limits", {"enforced": "trial"})
    trial = local.sandbox.state.keys.require("Bearer sandbox-trial")
    local.sandbox.state.limits._calls[trial.name] = 999
    statuses = [(await local.chat(key="sandbox-trial")).status for _ in range(2)]
    refused = await local.chat(key="sandbox-trial")

    assert statuses == [200, 429]
    assert "/ month" in refused.json["message"]


@pytest.mark.parametrize("given", [{"enforced": "some"}, {"enforced": "all", "minutes": "long"}, {}, []])
async def test_an_unknown_switch_of_limits_is_refused(local: Local, given: Any) -> None:
    assert (await local.ask("PUT", "/sandbox/limits", given)).status == 400
