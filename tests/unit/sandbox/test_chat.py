import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.sandbox import chat, prices, tokens
from clients.sandbox.answer import Answer
from clients.sandbox.models import MODELS
from tests.unit.sandbox.assembling import assemble
from tests.unit.sandbox.pictures import PNG_URI

TOOL = {
    "type": "function",
    "function": {
        "name": "find_flight",
        "description": "Flights between two cities",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "class": {"enum": ["economy", "business"]}},
            "required": ["to", "class"],
        },
    },
}
CHAT_MODELS = [name for name, model in MODELS.items() if model.endpoint == "chat"]


def ask(text: str, **members: Any) -> Answer:
    body = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": text}], **members}
    return chat.answer(body, "an-id")


def text_of(answer: Answer) -> str:
    blocks = answer.body["message"]["content"]
    (text,) = [block["text"] for block in blocks if block["type"] == "text"]
    return str(text)


# Few words, so that questions and documents share them, and most of them wider than a byte a letter.
words = st.sampled_from(["sky", "blé", "𝄞note", "weiß", "21 °C", "the"])
sentences = st.lists(words.flatmap(lambda word: st.sampled_from([word, f"{word}.", f"{word}!\n"])), max_size=6).map(
    " ".join
)
documents = st.lists(
    st.one_of(sentences, st.fixed_dictionaries({"data": st.dictionaries(sentences, sentences, max_size=2)})),
    max_size=4,
)
requests = st.fixed_dictionaries(
    {
        "model": st.sampled_from(CHAT_MODELS),
        "messages": st.builds(
            lambda text: [{"role": "user", "content": text}],
            st.one_of(
                st.text(min_size=1, max_size=60),
                st.lists(words, min_size=1).map(" ".join),
                st.just("count to 12"),
                st.just("find flight please"),
            ),
        ),
    },
    optional={
        "documents": documents,
        "tools": st.just([TOOL]),
        "tool_choice": st.just("NONE"),
        "max_tokens": st.integers(1, 80),
        "stop_sequences": st.lists(st.sampled_from(["a", "e", " the", "10", "sky"]), max_size=2),
        "logprobs": st.booleans(),
        "citation_options": st.sampled_from([{"mode": "fast"}, {"mode": "ACCURATE"}, {"mode": "OFF"}]),
        "thinking": st.sampled_from(
            [{"type": "disabled"}, {"type": "enabled", "token_budget": 3}, {"token_budget": 500}]
        ),
    },
)


@given(request=requests)
@settings(deadline=None, max_examples=300)
def test_a_stream_reassembles_to_the_unary_answer(request: dict[str, Any]) -> None:
    unary = chat.answer(request, "an-id")
    streamed = chat.answer({**request, "stream": True}, "an-id")

    assert unary.events is None
    assert streamed.events is not None
    assert assemble(streamed.events) == unary.body
    assert streamed.billed_units == unary.billed_units


@given(request=requests)
@settings(deadline=None, max_examples=300)
def test_every_citation_slices_to_its_text_and_is_found_in_its_sources(request: dict[str, Any]) -> None:
    answer = chat.answer(request, "an-id")

    for citation in answer.body["message"].get("citations", []):
        text = text_of(answer)
        assert text[citation["start"] : citation["end"]] == citation["text"]
        assert citation["sources"]
        for source in citation["sources"]:
            assert source["type"] == "document"
            assert source["document"]["id"] == source["id"]


@given(request=requests)
@settings(deadline=None, max_examples=300)
def test_the_output_never_exceeds_max_tokens_and_is_billed_exactly(request: dict[str, Any]) -> None:
    answer = chat.answer(request, "an-id")
    message = answer.body["message"]

    output = sum(tokens.count(block[block["type"]]) for block in message.get("content", [])) + tokens.count(
        message.get("tool_plan", "")
    )
    for call in message.get("tool_calls", []):
        output += tokens.count(call["function"]["name"]) + tokens.count(call["function"]["arguments"])
    units = answer.billed_units
    assert units["output_tokens"] == output
    assert output <= request.get("max_tokens", MODELS[request["model"]].output_tokens_max)
    assert 0 < units["input_tokens"] <= len(json.dumps(request).encode())
    assert prices.cost_nanos(request["model"], units) > 0


@given(text=st.text(max_size=200))
def test_tokens_join_to_the_text_and_are_no_more_than_its_bytes(text: str) -> None:
    pieces = tokens.pieces_of(text)

    assert "".join(pieces) == text
    assert len(pieces) <= len(text.encode())


def test_cohere_counts_more_tokens_than_it_bills() -> None:
    usage = ask("What colour is the sky?", documents=["The sky is green."], tools=[TOOL]).body["usage"]

    assert usage["tokens"]["input_tokens"] > usage["billed_units"]["input_tokens"] + 1000
    assert usage["tokens"]["output_tokens"] > usage["billed_units"]["output_tokens"]


def test_a_document_is_quoted_with_its_source() -> None:
    documents = [{"id": "sky", "data": {"title": "Sky", "text": "Grass grows. The sky is green."}}]
    answer = ask("What colour is the sky?", documents=documents)

    assert answer.body["message"] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "The sky is green."}],
        "citations": [
            {
                "start": 0,
                "end": 17,
                "text": "The sky is green.",
                "sources": [
                    {
                        "type": "document",
                        "id": "sky",
                        "document": {"id": "sky", "title": "Sky", "text": "Grass grows. The sky is green."},
                    }
                ],
            }
        ],
    }


def test_citations_can_be_turned_off() -> None:
    answer = ask("What colour is the sky?", documents=["The sky is green."], citation_options={"mode": "off"})
    assert "citations" not in answer.body["message"]


def test_early_citations_follow_their_text_and_late_ones_close_the_block() -> None:
    def kinds(mode: str) -> list[str]:
        members: dict[str, Any] = {"documents": ["A sky.", "My blue sky."], "stream": True}
        answer = ask("sky", citation_options={"mode": mode}, **members)
        assert answer.events is not None
        return [event["type"] for event in answer.events]

    late, early = kinds("ACCURATE"), kinds("FAST")
    assert late[-6:] == ["citation-start", "citation-end"] * 2 + ["content-end", "message-end"]
    assert early.index("citation-start") < len(early) - 6
    assert sorted(late) == sorted(early)


@given(request=requests)
@settings(deadline=None, max_examples=300)
def test_no_citation_comes_before_its_text(request: dict[str, Any]) -> None:
    events = chat.answer({**request, "stream": True}, "an-id").events
    length = 0
    for event in events or ():
        message = event.get("delta", {}).get("message", {})
        if event["type"] == "content-delta":
            length += len(message["content"].get("text", ""))
        if event["type"] == "citation-start":
            assert message["citations"]["end"] <= length


@pytest.mark.parametrize(
    ("text", "members", "called"),
    [
        ("Please use find_flight", {}, True),
        ("find flight to Rome, will you?", {}, True),
        ("How are you?", {}, False),
        ("How are you?", {"tool_choice": "REQUIRED"}, True),
        ("Please use find_flight", {"tool_choice": "NONE"}, False),
    ],
)
def test_a_tool_is_called_when_named_or_required(text: str, members: dict[str, Any], *, called: bool) -> None:
    answer = ask(text, tools=[TOOL], **members)

    assert (answer.body["finish_reason"] == "TOOL_CALL") is called
    assert ("tool_calls" in answer.body["message"]) is called
    assert ("tool_plan" in answer.body["message"]) is called


def test_arguments_come_from_the_message() -> None:
    answer = ask('Use find_flight in business class to "Porto Santo"', tools=[TOOL])

    (call,) = answer.body["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"to": "Porto Santo", "class": "business"}


def test_a_reasoning_model_plans_its_tools_in_a_thinking_block() -> None:
    answer = ask("find_flight", tools=[TOOL], model="command-a-plus-05-2026")

    message = answer.body["message"]
    assert [block["type"] for block in message["content"]] == ["thinking"]
    assert "tool_plan" not in message
    assert message["tool_calls"][0]["function"]["name"] == "find_flight"


def test_a_token_budget_bounds_the_thinking() -> None:
    answer = ask("Why?", model="command-a-reasoning-08-2025", thinking={"type": "enabled", "token_budget": 5})

    thinking, text = answer.body["message"]["content"]
    assert tokens.count(thinking["thinking"]) == 5
    assert text["text"]
    assert answer.body["usage"]["tokens"]["reasoning_tokens"] == 5


def test_the_output_of_a_tool_is_answered_with_its_citation() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find_flight", "arguments": "{}"}}
    documents = [{"type": "document", "document": {"id": "d", "data": {"text": "Flight 7 leaves at noon."}}}]
    messages = [
        {"role": "user", "content": "When does the flight leave?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": documents},
    ]
    answer = ask("", messages=messages, tools=[TOOL])

    assert text_of(answer) == "Flight 7 leaves at noon."
    assert answer.body["message"]["citations"][0]["sources"] == [
        {"type": "tool", "id": "d", "tool_output": {"text": "Flight 7 leaves at noon."}}
    ]


def test_counting_goes_as_far_as_max_tokens() -> None:
    assert text_of(ask("Count to 5")) == "1, 2, 3, 4, 5."
    cut = ask("Count to 1000000", max_tokens=50)
    assert cut.body["finish_reason"] == "MAX_TOKENS"
    assert cut.billed_units["output_tokens"] == 50


def test_max_tokens_above_the_models_maximum_is_capped() -> None:
    cut = ask("Count to 999999", model="command-r-08-2024", max_tokens=10**9)
    assert cut.billed_units["output_tokens"] == 4000


def test_a_stop_sequence_is_not_returned() -> None:
    answer = ask("Repeat after me: one two three", stop_sequences=["three", "two"])

    assert text_of(answer) == "one "
    assert answer.body["finish_reason"] == "STOP_SEQUENCE"


def test_json_is_json_with_and_without_a_schema() -> None:
    free = ask("Hi", response_format={"type": "json_object"})
    shaped = ask("Hi", response_format={"type": "json_object", "schema": {"enum": [["x"]]}})

    assert isinstance(json.loads(text_of(free)), dict)
    assert json.loads(text_of(shaped)) == ["x"]


def test_an_image_is_counted_by_its_tiles() -> None:
    def billed(detail: str) -> int:
        picture = {"type": "image_url", "image_url": {"url": PNG_URI, "detail": detail}}
        messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, picture]}]
        return ask("", messages=messages, model="command-a-vision-07-2025").billed_units["input_tokens"]

    assert (billed("low"), billed("high")) == (2 + 256, 2 + 512)
