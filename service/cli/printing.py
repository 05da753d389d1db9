"""Answers on a terminal: what was asked for on stdout, everything about it on stderr."""

import sys
from typing import TextIO

from cohort.client import Assembly
from cohort.v1.chat_pb2 import ChatResponse, ChatStreamResponse, Citation
from cohort.v1.usage_pb2 import BilledUnits, Receipt
from service.cli.amounts import dollars

_CONTROLS: dict[int, str] = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\ufffd")
_CONTROLS |= {ord("\n"): "\n", ord("\t"): "\t"}


def show(text: str, stream: TextIO | None = None) -> None:
    """Writes text, to stdout by default, and flushes it.

    A model's text could steer the terminal: control characters do not reach one. Files and pipes get it as it is.
    """
    stream = stream or sys.stdout
    stream.write(printable(text) if stream.isatty() else text)
    stream.flush()


def printable(text: str) -> str:
    """The text with its control characters, but for line ends and tabs, replaced."""
    return text.translate(_CONTROLS)


def show_end(billed_units: BilledUnits, receipt: Receipt, finish_reason: str = "") -> None:
    """Tells on stderr what Cohere billed, what that cost and leaves of the budget, and the id of the call."""
    units = ", ".join(f"{value:.15g} {field.name}" for field, value in billed_units.ListFields())
    facts = [finish_reason, f"billed: {units}" if units else "billed units not reported"]
    if receipt.HasField("cost"):
        facts.append(f"cost {dollars(receipt.cost)}")
    if receipt.HasField("budget_remaining"):
        facts.append(f"{dollars(receipt.budget_remaining)} left")
    facts.append(f"call {receipt.call_id}")
    show(f"[{' | '.join(fact for fact in facts if fact)}]\n", sys.stderr)


class ChatPrinter:
    """Prints one answer, whole or as it is written.

    Text and tool calls go to stdout; thinking, plans, citations and usage to stderr.
    """

    def __init__(self) -> None:
        self._assembly = Assembly()
        self._open_line: TextIO | None = None

    def print_event(self, event: ChatStreamResponse) -> None:
        """Prints what an event adds; with the last one, everything about the answer."""
        self._assembly.add(event)
        match event.WhichOneof("event"):
            case "content_start":
                self._print_block(event.content_start.content.text, event.content_start.content.thinking)
            case "content_delta":
                self._print_block(event.content_delta.text, event.content_delta.thinking)
            case "content_end":
                self.end_line()
            case "tool_plan_delta":
                self._continue_line(event.tool_plan_delta.tool_plan, sys.stderr)
            case "message_end":
                self._print_end(self._assembly.response)

    def print_whole(self, response: ChatResponse) -> None:
        """Prints a whole answer."""
        for block in response.message.content:
            self._print_block(block.text, block.thinking)
            self.end_line()
        self._continue_line(response.message.tool_plan, sys.stderr)
        self._print_end(response)

    def end_line(self) -> None:
        """Ends a line that was begun, such as of a stream that broke."""
        if self._open_line is not None:
            show("\n", self._open_line)
            self._open_line = None

    def _print_block(self, text: str, thinking: str) -> None:
        self._continue_line(thinking, sys.stderr)
        self._continue_line(text, sys.stdout)

    def _continue_line(self, text: str, stream: TextIO) -> None:
        if not text:
            return
        if self._open_line is not stream:
            self.end_line()
        show(text, stream)
        self._open_line = stream

    def _print_end(self, response: ChatResponse) -> None:
        self.end_line()
        for call in response.message.tool_calls:
            show(f"{call.function.name}({call.function.arguments})\n")
        for citation in response.message.citations:
            show(_citation_line(citation), sys.stderr)
        show_end(response.usage.billed_units, response.receipt, response.finish_reason)


def _citation_line(citation: Citation) -> str:
    sources = ", ".join(source.id or "an unnamed source" for source in citation.sources)
    return f'[{citation.start}:{citation.end} "{citation.text}" from {sources}]\n'
