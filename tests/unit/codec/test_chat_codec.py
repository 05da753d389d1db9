import json
from typing import Any

import orjson
import pytest

from clients.codec import chat
from clients.codec.errors import MalformedAnswer
from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Citation,
    ContentBlock,
    Document,
    FunctionCall,
    FunctionDefinition,
    Source,
    Thinking,
    Tool,
    ToolCall,
)


def sent(**fields: Any) -> Any:
    return json.loads(chat.encode(ChatRequest(**fields), stream=False))


def decoded(answer: Any) -> ChatResponse:
    response = ChatResponse()
    chat.decode(orjson.dumps(answer), response)
    return response


def test_only_what_is_set_is_sent() -> None:
    assert sent(model="command", messages=[ChatMessage(role="user", text="Hi")]) == {
        "model": "command",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }


def test_zero_false_and_empty_text_are_sent_where_they_differ_from_absent() -> None:
    body = sent(temperature=0.0, k=0, logprobs=False, seed=0, messages=[ChatMessage(text="", tool_plan="")])

    assert body == {
        "temperature": 0.0,
        "k": 0,
        "logprobs": False,
        "seed": 0,
        "messages": [{"content": "", "tool_plan": ""}],
        "stream": False,
    }


def test_stream_is_said_either_way() -> None:
    assert b'"stream":true' in chat.encode(ChatRequest(), stream=True)
    assert b'"stream":false' in chat.encode(ChatRequest(), stream=False)


def test_encoding_leaves_the_request_as_it_is() -> None:
    request = ChatRequest(model="command", tools=[Tool()])
    before = request.SerializeToString()
    chat.encode(request, stream=True)

    assert request.SerializeToString() == before


def test_tools_and_tool_calls_are_functions_unless_said_otherwise() -> None:
    tools = [Tool(function=FunctionDefinition(name="f")), Tool(type="other")]
    message = ChatMessage(role="assistant", tool_calls=[ToolCall(id="1"), ToolCall(id="2", type="other")])

    body = sent(tools=tools, messages=[message])

    assert body["tools"] == [{"type": "function", "function": {"name": "f"}}, {"type": "other"}]
    assert [call["type"] for call in body["messages"][0]["tool_calls"]] == ["function", "other"]


def test_a_call_without_arguments_has_empty_arguments() -> None:
    call = ToolCall(id="1", function=FunctionCall(name="now"))

    assert sent(messages=[ChatMessage(tool_calls=[call])])["messages"][0]["tool_calls"][0]["function"] == {
        "name": "now",
        "arguments": "",
    }


def test_a_document_of_text_is_a_string_and_with_an_id_an_object() -> None:
    documents = [
        Document(text="plain"),
        Document(id="1", text="named"),
        Document(data_json='{"a":1}'),
        Document(id="", text="named by nothing"),
    ]

    assert sent(documents=documents)["documents"] == [
        "plain",
        {"id": "1", "data": {"text": "named"}},
        {"data": {"a": 1}},
        {"id": "", "data": {"text": "named by nothing"}},
    ]


def test_a_document_of_text_in_a_block_is_an_object() -> None:
    content = [ContentBlock(document=Document(text="plain")), ContentBlock(document=Document(id="1", data_json="{}"))]

    assert sent(messages=[ChatMessage(role="tool", content=content)])["messages"][0]["content"] == [
        {"type": "document", "document": {"data": {"text": "plain"}}},
        {"type": "document", "document": {"id": "1", "data": {}}},
    ]


def test_thinking_is_sent_as_the_caller_gave_it() -> None:
    assert sent(thinking=Thinking(token_budget=500))["thinking"] == {"token_budget": 500}
    assert sent(thinking=Thinking(type="disabled"))["thinking"] == {"type": "disabled"}


def test_a_citation_at_the_very_start_keeps_its_place() -> None:
    message = ChatMessage(citations=[Citation(end=2, text="It", sources=[Source(id="1")])])

    assert sent(messages=[message])["messages"][0]["citations"] == [
        {"start": 0, "end": 2, "text": "It", "sources": [{"id": "1"}]}
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [Tool(function=FunctionDefinition(name="f", parameters_json='{}, "n": 5'))]},
        {"documents": [Document(data_json='{}}, "n": 5, "x": {"y": {}')]},
        {"messages": [ChatMessage(content=[ContentBlock(other_json='{}], "n": [5')])]},
        {"messages": [ChatMessage(citations=[Citation(sources=[Source(document_json="[]")])])]},
        {"messages": [ChatMessage(citations=[Citation(sources=[Source(tool_output_json="")])])]},
        {"messages": [ChatMessage(citations=[Citation(sources=[Source(other_json="{")])])]},
    ],
)
def test_json_text_that_is_no_object_is_never_spliced(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="JSON text"):
        sent(**fields)


def test_an_answer_can_be_appended_to_the_next_request() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "It"}],
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "now", "arguments": ""}}],
        "citations": [
            {
                "start": 0,
                "end": 2,
                "text": "It",
                "sources": [{"type": "document", "id": "doc:0", "document": {"z": 1, "a": None}}],
            }
        ],
    }

    response = decoded({"id": "1", "message": message})

    assert sent(messages=[response.message])["messages"] == [message]


def test_unknown_members_are_kept_under_their_json_pointers() -> None:
    response = decoded(
        {"a/b~c": None, "message": {"content": [{"type": "text", "text": "It", "x": 1}]}, "usage": {"y": {"z": []}}}
    )

    assert dict(response.extra_json) == {
        "/a~1b~0c": "null",
        "/message/content/0/x": "1",
        "/usage/y": '{"z":[]}',
    }
    assert response.message.content[0].text == "It"


@pytest.mark.parametrize("block", [{}, {"type": []}, {"type": "text"}, {"type": "text", "text": None}, {"type": "new"}])
def test_a_block_that_is_neither_text_nor_thinking_is_kept_whole(block: Any) -> None:
    response = decoded({"message": {"content": [block]}})

    assert json.loads(response.message.content[0].other_json) == block
    assert not response.extra_json


@pytest.mark.parametrize("source", [{}, {"type": []}, {"type": "document", "id": "1"}, {"type": "new", "id": "1"}])
def test_a_source_that_is_neither_document_nor_tool_output_is_kept_whole(source: Any) -> None:
    response = decoded({"message": {"citations": [{"start": 0, "end": 1, "text": "a", "sources": [source]}]}})

    assert json.loads(response.message.citations[0].sources[0].other_json) == source
    assert not response.extra_json


def test_nothing_is_noted_for_an_ordinary_answer() -> None:
    response = decoded({"id": "1", "message": {"role": "assistant", "tool_plan": None, "citations": []}})

    assert not response.extra_json


def test_what_a_field_cannot_say_is_noted() -> None:
    response = decoded({"id": "", "message": {"citations": [{"start": 1, "text": "It"}]}})

    assert dict(response.extra_json) == {"/id": '""', "/message/citations/0/end": "null"}


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (["secret"], "the answer"),
        ("secret", "the answer"),
        ({"id": 5}, "/id"),
        ({"message": "secret"}, "/message"),
        ({"message": {"content": {"secret": 1}}}, "/message/content"),
        ({"message": {"content": ["secret"]}}, "/message/content"),
        ({"message": {"content": [{"type": "text", "text": 5}]}}, "/message/content"),
        ({"message": {"content": [{"type": "text", "text": 5, "x": 1}]}}, "/message/content/0/text"),
        ({"message": {"tool_calls": [{"function": {"arguments": {"secret": 1}}}]}}, "/function/arguments"),
        ({"message": {"tool_calls": {}}}, "/message/tool_calls"),
        ({"message": {"citations": [{"start": 2**31}]}}, "/message/citations/0/start"),
        ({"message": {"citations": [{"start": True}]}}, "/message/citations/0/start"),
        (
            {"message": {"citations": [{"sources": [{"type": "document", "document": "secret"}]}]}},
            "/message/citations/0/sources/0/document",
        ),
        ({"usage": {"billed_units": {"input_tokens": "secret"}}}, "/usage/billed_units/input_tokens"),
        ({"usage": {"billed_units": {"input_tokens": True}}}, "/usage/billed_units/input_tokens"),
        ({"usage": []}, "/usage"),
        ({"logprobs": [{"token_ids": "12"}]}, "/logprobs/0/token_ids"),
        ({"logprobs": [{"logprobs": [True]}]}, "/logprobs/0/logprobs"),
    ],
)
def test_a_malformed_answer_is_named_by_its_place_and_not_by_its_content(answer: Any, place: str) -> None:
    with pytest.raises(MalformedAnswer) as raised:
        decoded(answer)

    assert place in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "body", [b"", b"<html>secret</html>", b'{"id":', b'{"id":"\xff"}', b'{"id":"\\ud800"}', b"NaN"]
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer, match=r"^the answer is not JSON$") as raised:
        chat.decode(body, ChatResponse())

    assert raised.value.__context__ is None  # orjson's error holds the body


@pytest.mark.parametrize("depth", [300, 2000])
def test_an_answer_too_deep_to_write_or_to_read_is_malformed(depth: int) -> None:
    body = b'{"unknown":' + b"[" * depth + b"]" * depth + b"}"

    with pytest.raises(MalformedAnswer):
        chat.decode(body, ChatResponse())
