"""The sandbox answers recorded requests in the shape in which Cohere answered them."""

import json
from typing import Any

import pytest
import yaml

from tests.shared_notes import SHARED, requires_shared
from tests.unit.sandbox.assembling import events_in
from tests.unit.sandbox.conftest import Local

# Headers of the network before Cohere, or of one connection.
NETWORK = {"alt-svc", "via", "transfer-encoding", "content-length"}
# The recordings are older than the removal of this model.
SUCCESSORS = {"command-r": "command-r-08-2024"}


def recorded(number: str) -> Any:
    assert SHARED is not None
    (path,) = (SHARED / "recorded").glob(f"{number}-*.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"][0]


def shape_of(value: Any) -> Any:
    """Names and kinds of values, the first element standing for a list."""
    if isinstance(value, dict):
        return {name: shape_of(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape_of(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) else type(value).__name__


@requires_shared
@pytest.mark.parametrize(
    ("number", "key"), [("01", "trial"), ("03", "trial"), ("07", "production"), ("09", "production")]
)
async def test_an_answer_has_the_recorded_shape_and_headers(local: Local, number: str, key: str) -> None:
    exchange = recorded(number)
    request, response = exchange["request"], exchange["response"]
    body = json.loads(request["body"])
    body["model"] = SUCCESSORS.get(body["model"], body["model"])
    path = request["uri"].removeprefix("https://api.cohere.com")
    answered = await local.ask("POST", path, body, key=f"sandbox-{key}")

    assert shape_of(answered.json) == shape_of(json.loads(response["body"]["string"]))
    assert {name.lower() for name in response["headers"]} - NETWORK <= set(answered.headers)


@requires_shared
async def test_an_unknown_model_is_refused_in_the_recorded_words(local: Local) -> None:
    exchange = recorded("11")
    answered = await local.ask("POST", "/v2/embed", exchange["request"]["parsed_body"])

    assert answered.status == exchange["response"]["status"]["code"]
    assert answered.json["message"] == exchange["response"]["parsed_body"]["message"]


@requires_shared
async def test_a_stream_that_failed_has_the_recorded_events(local: Local) -> None:
    exchange = recorded("06")
    body = {**json.loads(exchange["request"]["body"]), "tool_choice": "REQUIRED"}
    theirs = events_in(exchange["response"]["body"]["string"].encode())
    await local.queue(in_band_error=theirs[-1]["delta"]["error_type"])
    ours = events_in((await local.ask("POST", "/v2/chat", body)).raw)

    ours_by_kind = {event["type"]: shape_of(event) for event in ours}
    assert len(theirs) > 20
    for event in theirs:
        assert ours_by_kind[event["type"]] == shape_of(event)
