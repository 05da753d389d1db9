from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort.client import Assembly, IncompleteStream, assemble
from cohort.v1.chat_pb2 import ChatMessage, ChatResponse
from tests.unit.client.answers import answers, event_of, streams


@given(st.data())
def test_the_events_of_an_answer_assemble_to_the_answer(data: st.DataObject) -> None:
    answer = data.draw(answers())
    events = data.draw(streams(answer))

    assert assemble(events) == answer


@given(st.data())
def test_the_answer_so_far_is_a_beginning_of_the_answer(data: st.DataObject) -> None:
    answer = data.draw(answers())
    events = data.draw(streams(answer))
    assembly = Assembly()
    texts = []
    for event in events:
        assembly.add(event)
        texts.append("".join(block.text for block in assembly.response.message.content))

    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert assembly.response == answer


def test_events_may_be_changed_after_they_were_added() -> None:
    event = event_of(citation_start={"index": 0, "citation": {"text": "before"}})
    assembly = Assembly()
    assembly.add(event)
    event.citation_start.citation.text = "after"

    assert assembly.response.message.citations[0].text == "before"


def test_the_response_may_be_changed_without_touching_the_assembly() -> None:
    assembly = Assembly()
    assembly.add(event_of(tool_call_start={"index": 0, "tool_call": {"id": "a"}}))
    assembly.response.message.tool_calls[0].id = "b"

    assert assembly.response.message.tool_calls[0].id == "a"


def test_events_without_their_last_are_no_answer() -> None:
    with pytest.raises(IncompleteStream):
        assemble([event_of(message_start={"id": "a", "role": "assistant"})])


def test_parts_are_ordered_by_their_index() -> None:
    assembly = Assembly()
    for index, text in ((2, "c"), (0, "a"), (1, "b")):
        assembly.add(event_of(content_start={"index": index, "content": {"text": text}}))

    assert [block.text for block in assembly.response.message.content] == ["a", "b", "c"]


def test_unknown_members_follow_their_part_when_indices_have_gaps() -> None:
    assembly = Assembly()
    for index in (7, 3):
        event = event_of(content_start={"index": index, "content": {"text": ""}})
        event.extra_json["/delta/message/content/n"] = str(index)
        assembly.add(event)

    assert assembly.response.extra_json == {"/message/content/0/n": "3", "/message/content/1/n": "7"}


def test_a_delta_without_a_start_begins_its_part() -> None:
    events = [
        event_of(content_delta={"index": 0, "thinking": "Hm"}),
        event_of(tool_call_delta={"index": 0, "arguments": "{}"}),
    ]
    assembly = Assembly()
    for event in events:
        assembly.add(event)

    assert assembly.response.message.content[0].thinking == "Hm"
    assert assembly.response.message.tool_calls[0].function.arguments == "{}"


def test_thinking_is_never_taken_for_text() -> None:
    assembly = Assembly()
    assembly.add(event_of(content_start={"index": 4, "content": {"text": ""}}))

    with pytest.raises(ValueError, match="content block 4 is text"):
        assembly.add(event_of(content_delta={"index": 4, "thinking": "secretly"}))


def test_pieces_of_a_block_of_unknown_kind_are_left_to_the_reader_of_events() -> None:
    assembly = Assembly()
    assembly.add(event_of(content_start={"index": 0, "content": {"other_json": '{"type":"new"}'}}))
    assembly.add(event_of(content_delta={"index": 0, "text": "piece"}))

    assert assembly.response.message.content[0].other_json == '{"type":"new"}'


def test_a_delta_of_log_probabilities_alone_adds_no_text() -> None:
    assembly = Assembly()
    assembly.add(event_of(content_delta={"index": 0, "logprobs": {"token_ids": [1]}}))

    assert assembly.response.logprobs[0].token_ids == [1]
    assert assembly.response.message.content[0].WhichOneof("block") is None


def test_events_that_add_nothing_to_an_answer_are_passed_over() -> None:
    assembly = Assembly()
    before = assembly.response
    for event in (event_of(), event_of(debug={"prompt": "p"}), event_of(other_json="{}")):
        event.extra_json["/x"] = "1"
        assembly.add(event)

    assert assembly.response == before


def test_a_failed_generation_keeps_its_words_as_unknown_members() -> None:
    events = [event_of(message_end={"finish_reason": "ERROR", "error": 'é "', "error_type": "NEW"})]

    assert assemble(events) == ChatResponse(
        finish_reason="ERROR", message=ChatMessage(), extra_json={"/error": '"é \\""', "/error_type": '"NEW"'}
    )


def test_that_a_piece_lacks_its_own_text_says_nothing_of_the_whole() -> None:
    start = event_of(tool_call_start={"index": 0, "tool_call": {"id": "a", "function": {"name": "f"}}})
    start.extra_json["/delta/message/tool_calls/function/arguments"] = "null"
    delta = event_of(tool_call_delta={"index": 0, "arguments": "{}"})
    assembly = Assembly()
    assembly.add(start)
    assembly.add(delta)

    assert assembly.response.extra_json == {}
