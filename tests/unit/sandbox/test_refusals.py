from typing import Any

import pytest

from clients.sandbox.app import BODY_BYTES_MAX
from tests.unit.sandbox.conftest import HI, Local
from tests.unit.sandbox.pictures import PNG_URI

USER = {"role": "user", "content": "Hi"}
PICTURE = {"type": "image_url", "image_url": {"url": PNG_URI}}
EMBED: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query", "texts": ["a"]}
RERANK: dict[str, Any] = {"model": "rerank-v3.5", "query": "q", "documents": ["a"]}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"model": None}, "model is required"),
        ({"model": 7}, "model must be of type string"),
        ({"model": "embed-v4.0"}, "not supported by the chat API"),
        ({"messages": None}, "messages is required"),
        ({"messages": []}, "messages is required"),
        ({"messages": ["Hi"]}, "messages[0] must be an object"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role must be one of"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content is required"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text is required"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type is required"),
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "does not support images"),
        ({"messages": [{"role": "assistant"}]}, "messages[0].content or tool_calls is required"),
        ({"messages": [USER, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id is required"),
        ({"messages": [{"role": "user", "content": "a " * 256_000}]}, "too many tokens: the prompt has 256067 tokens"),
        ({"temperature": 1.5}, "temperature must be between 0 and 1"),
        ({"p": 0}, "p must be between 0.01 and 0.99"),
        ({"k": 501}, "k must be between 0 and 500"),
        ({"seed": -1}, "seed must be between"),
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_tokens": 1.5}, "max_tokens must be an integer"),
        ({"priority": 1000}, "priority must be between 0 and 999"),
        ({"stop_sequences": list("abcdef")}, "stop_sequences must be at most 5 - received 6"),
        ({"safety_mode": "WILD"}, "safety_mode must be one of"),
        ({"citation_options": {"mode": "never"}}, "citation_options.mode must be one of"),
        ({"thinking": {"type": "enabled", "token_budget": 0}}, "thinking.token_budget must be at least 1"),
        ({"response_format": {}}, "response_format.type is required"),
        ({"response_format": {"type": "json_object"}, "documents": ["a"]}, "cannot be used together with"),
        ({"documents": [{"id": "a"}]}, "documents[0].data is required"),
        ({"tool_choice": "REQUIRED"}, "tool_choice REQUIRED needs at least one tool"),
        ({"tools": [{"type": "function"}]}, "tools[0].function is required"),
        ({"tools": [{"function": {"name": "1st"}}]}, "tools[0].function.name may only contain"),
    ],
)
async def test_a_chat_out_of_bounds_is_refused_by_name(local: Local, members: dict[str, Any], words: str) -> None:
    answered = await local.chat(**members)

    assert answered.status == 400
    assert set(answered.json) == {"id", "message"}
    assert words in answered.json["message"]
    assert (await local.bill())["cost_nanos"] == 0


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"texts": ["a"] * 97}, "total number of texts must be at most 96 - received 97"),
        ({"images": [PNG_URI]}, "only one of texts, images or inputs"),
        ({"texts": []}, "valid texts, images or inputs must be provided"),
        ({"texts": [1]}, "texts[0] must be a string"),
        ({"input_type": None}, "input_type is required"),
        ({"input_type": "poem"}, "input_type must be one of"),
        ({"embedding_types": ["double"]}, "embedding_types must be among"),
        ({"output_dimension": 100}, "output_dimension must be one of [256, 512, 1024, 1536], received 100"),
        ({"model": "embed-english-v3.0", "output_dimension": 1024}, "output_dimension is not supported"),
        ({"texts": None, "images": ["cat.png"]}, "images[0] must be a data URI"),
        ({"texts": None, "images": ["data:image/png;base64,!!"]}, "images[0] is not valid base64"),
        ({"texts": None, "images": ["data:image/png;base64,AAAA"]}, "images[0] is not a supported image"),
        ({"model": "embed-english-v3.0", "texts": None, "images": [PNG_URI] * 2}, "at most 1 - received 2"),
        ({"texts": None, "inputs": [{"content": []}]}, "inputs[0].content is required"),
    ],
)
async def test_an_embed_out_of_bounds_is_refused_by_name(local: Local, members: dict[str, Any], words: str) -> None:
    answered = await local.ask("POST", "/v2/embed", {**EMBED, **members})

    assert answered.status == 400
    assert words in answered.json["message"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"query": ""}, "query is required"),
        ({"documents": []}, "documents is required"),
        ({"documents": ["a"] * 10_001}, "at most 10000 - received 10001"),
        ({"documents": [{"text": "a"}]}, "documents[0] must be a string"),
        ({"top_n": 0}, "top_n must be at least 1"),
        ({"relevant_spans": {"mode": "enabled"}}, "relevant_spans is not supported"),
    ],
)
async def test_a_rerank_out_of_bounds_is_refused_by_name(local: Local, members: dict[str, Any], words: str) -> None:
    answered = await local.ask("POST", "/v2/rerank", {**RERANK, **members})

    assert answered.status == 400
    assert words in answered.json["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"model": NaN}', b"[" * 2000])
async def test_a_body_that_is_no_json_object_is_refused(local: Local, raw: bytes) -> None:
    answered = await local.ask("POST", "/v2/chat", raw)

    assert answered.status == 400
    assert "JSON" in answered.json["message"]


async def test_json_too_deep_to_write_again_is_refused(local: Local) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    raw = b'{"model":"command-a-03-2025","messages":[{"role":"user","content":"Hi"}],"documents":[{"data":%b}]}'
    answered = await local.ask("POST", "/v2/chat", raw % str(deep).replace("'", '"').encode())

    assert answered.status == 400
    assert "too deep" in answered.json["message"]


async def test_a_body_too_large_is_refused(local: Local) -> None:
    answered = await local.ask("POST", "/v2/chat", b" " * (BODY_BYTES_MAX + 1))
    assert answered.status == 413


@pytest.mark.parametrize(
    ("model", "words"),
    [("nonexistent", "model 'nonexistent' not found"), ("command-r-plus", "was removed on September 15, 2025")],
)
async def test_an_unknown_or_removed_model_is_not_found(local: Local, model: str, words: str) -> None:
    for answered in (await local.chat(model=model), await local.ask("GET", f"/v1/models/{model}")):
        assert answered.status == 404
        assert words in answered.json["message"]


async def test_an_unknown_field_is_taken_with_a_warning(local: Local) -> None:
    answered = await local.ask("POST", "/v2/chat", {**HI, "n": 3, "naïve\n": None})

    assert answered.status == 200
    warning = answered.headers["x-api-warning"]
    assert warning == r"unknown field: parsed field 'n', parsed field 'na\xefve\n'"


async def test_null_stands_for_an_absent_field(local: Local) -> None:
    names = ("tools", "documents", "max_tokens", "seed", "stop_sequences", "thinking", "tool_choice", "logprobs")
    answered = await local.chat(**dict.fromkeys(names))

    assert answered.status == 200
    assert "x-api-warning" not in answered.headers


async def test_a_route_that_is_not_coheres_is_not_found(local: Local) -> None:
    for method, path in (("GET", "/v2/chat"), ("POST", "/v2/parse"), ("GET", "/")):
        assert (await local.ask(method, path)).status == 404


@pytest.mark.parametrize("query", ["page_size=0", "page_size=x", "endpoint=poetry", "page_token=%3D"])
async def test_a_wrong_page_of_models_is_refused(local: Local, query: str) -> None:
    assert (await local.ask("GET", f"/v1/models?{query}")).status == 400


async def test_default_models_are_one_of_each_endpoint(local: Local) -> None:
    models = (await local.ask("GET", "/v1/models?default_only=true")).json["models"]
    assert [model["default_endpoints"] for model in models] == [["chat"], ["embed"], ["rerank"]]


async def test_every_answer_carries_a_trace_id_of_its_own(local: Local) -> None:
    answers = [await local.chat(), await local.chat(key="unknown"), await local.ask("POST", "/v2/embed", HI)]

    assert [answer.status for answer in answers] == [200, 401, 400]
    assert len({answer.headers["x-debug-trace-id"] for answer in answers}) == 3
    assert len({answer.json["id"] for answer in answers}) == 3
