import io
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf import json_format

from cohort.v1.chat_pb2 import ChatResponse, ChatStreamResponse
from cohort.v1.usage_pb2 import BilledUnits, Receipt
from service.cli.printing import ChatPrinter, show, show_end
from service.money import money_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events(*each: dict[str, Any]) -> list[ChatStreamResponse]:
    return [json_format.ParseDict(event, ChatStreamResponse()) for event in each]


START: dict[str, Any] = {"message_start": {"id": "a", "role": "assistant"}}
END: dict[str, Any] = {
    "message_end": {
        "finish_reason": "COMPLETE",
        "usage": {"billed_units": {"input_tokens": 4, "output_tokens": 2}},
        "receipt": {"call_id": "call-1"},
    }
}
THINKING: tuple[dict[str, Any], ...] = (
    {"content_start": {"index": 0, "content": {"thinking": ""}}},
    {"content_delta": {"index": 0, "thinking": "Hm."}},
    {"content_end": {"index": 0}},
)
TEXT: tuple[dict[str, Any], ...] = (
    {"content_start": {"index": 1, "content": {"text": ""}}},
    {"content_delta": {"index": 1, "text": "Hello"}},
    {"content_delta": {"index": 1, "text": " there"}},
    {"content_end": {"index": 1}},
)
CITATION: dict[str, Any] = {
    "citation_start": {"index": 0, "citation": {"start": 0, "end": 5, "text": "Hello", "sources": [{"id": "doc:0"}]}}
}
SUMMARY = "[COMPLETE | billed: 4 input_tokens, 2 output_tokens | call call-1]\n"


def print_all(stream: Sequence[ChatStreamResponse]) -> None:
    printer = ChatPrinter()
    for event in stream:
        printer.print_event(event)


def test_text_goes_to_stdout_and_everything_about_it_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_all(events(START, *THINKING, *TEXT, CITATION, END))
    captured = capsys.readouterr()

    assert captured.out == "Hello there\n"
    assert captured.err == f'Hm.\n[0:5 "Hello" from doc:0]\n{SUMMARY}'


def test_text_is_printed_as_it_arrives(capsys: pytest.CaptureFixture[str]) -> None:
    printer = ChatPrinter()
    seen = []
    for event in events(START, *TEXT, END):
        printer.print_event(event)
        seen.append(capsys.readouterr().out)

    assert seen == ["", "", "Hello", " there", "\n", ""]


def test_a_whole_answer_is_printed_as_a_stream_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"message": {"content": [{"thinking": "Hm."}, {"text": "Hello there"}]}, **END["message_end"]}

    ChatPrinter().print_whole(json_format.ParseDict(whole, ChatResponse()))
    captured = capsys.readouterr()

    assert (captured.out, captured.err) == ("Hello there\n", f"Hm.\n{SUMMARY}")


def test_tool_calls_are_what_was_asked_for_and_their_plan_is_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_all(
        events(
            START,
            {"tool_plan_delta": {"tool_plan": "I will "}},
            {"tool_plan_delta": {"tool_plan": "look."}},
            {"tool_call_start": {"index": 0, "tool_call": {"id": "1", "function": {"name": "look"}}}},
            {"tool_call_delta": {"index": 0, "arguments": '{"at":'}},
            {"tool_call_delta": {"index": 0, "arguments": '"it"}'}},
            {"tool_call_end": {"index": 0}},
            END,
        )
    )
    captured = capsys.readouterr()

    assert captured.out == 'look({"at":"it"})\n'
    assert captured.err == f"I will look.\n{SUMMARY}"


def test_a_broken_stream_leaves_no_half_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer = ChatPrinter()
    for event in events(START, *TEXT[:2]):
        printer.print_event(event)
    printer.end_line()
    printer.end_line()

    assert capsys.readouterr().out == "Hello\n"


def test_an_answer_cannot_steer_the_terminal() -> None:
    terminal = Terminal()

    show("\x1b[2Jred\x9b31m\ttab\r\x07\x7f\n", terminal)

    assert terminal.getvalue() == "\ufffd[2Jred\ufffd31m\ttab\ufffd\ufffd\ufffd\n"


def test_a_file_or_pipe_gets_the_text_as_it_is() -> None:
    pipe = io.StringIO()

    show("\x1b[31m\r\n", pipe)

    assert pipe.getvalue() == "\x1b[31m\r\n"


def test_units_that_were_not_reported_are_not_taken_for_zero(capsys: pytest.CaptureFixture[str]) -> None:
    show_end(BilledUnits(), Receipt(call_id="call-1"))

    assert capsys.readouterr().err == "[billed units not reported | call call-1]\n"


def test_a_unit_of_zero_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_end(BilledUnits(input_tokens=12345678, image_tokens=0), Receipt(call_id="call-1"))

    assert capsys.readouterr().err == "[billed: 12345678 input_tokens, 0 image_tokens | call call-1]\n"


def test_what_a_call_cost_is_told_to_the_nano_dollar(capsys: pytest.CaptureFixture[str]) -> None:
    receipt = Receipt(call_id="call-1", cost=money_of(395_000), budget_remaining=money_of(4_999_605_000))

    show_end(BilledUnits(input_tokens=6), receipt)

    assert capsys.readouterr().err == "[billed: 6 input_tokens | cost $0.000395 | $4.999605 left | call call-1]\n"
