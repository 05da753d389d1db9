"""`cohort call chat`: one conversation, streamed by default."""

import argparse
from collections.abc import Iterator

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ChatResponse, ChatStreamResponse
from service.cli import calling
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.defaults import CHAT_MODEL
from service.cli.printing import ChatPrinter, show
from service.cli.requests import add_json, add_output, as_json_line, from_json

_FLAGS = ("text", "model", "system", "document", "max_tokens", "temperature")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what the user says")
    parser.add_argument("--model", help=f"default: {CHAT_MODEL}")
    parser.add_argument("--system", metavar="TEXT", help="a system message before it")
    parser.add_argument("--document", action="append", metavar="TEXT", help="a document to quote from; may be repeated")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="default: the team's cap")
    parser.add_argument("--temperature", type=float, metavar="X", help="0 to 1 (default: 0.3)")
    parser.add_argument("--no-stream", action="store_true", help="wait for the whole answer")
    add_json(parser, "ChatRequest")
    add_output(parser)
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def request_of(arguments: argparse.Namespace) -> ChatRequest:
    """The request that the arguments describe.

    Raises:
        CommandFailed: They describe none.
    """
    if arguments.json is not None:
        return from_json(ChatRequest(), arguments, _FLAGS)
    if arguments.text is None:
        raise CommandFailed("what to say? give TEXT, or --json", NOT_STARTED)
    request = ChatRequest(
        model=arguments.model or CHAT_MODEL, max_tokens=arguments.max_tokens, temperature=arguments.temperature
    )
    if arguments.system is not None:
        request.messages.append(ChatMessage(role="system", text=arguments.system))
    request.messages.append(ChatMessage(role="user", text=arguments.text))
    for text in arguments.document or ():
        request.documents.add(text=text)
    return request


def _run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    with calling.caller(arguments) as caller:
        if arguments.no_stream:
            _print_whole(caller.call(caller.stub.Chat, request), arguments.output)
        else:
            _print_stream(caller.stream(caller.stub.ChatStream, request), arguments.output)
    return 0


def _print_whole(response: ChatResponse, output: str) -> None:
    if output == "json":
        show(f"{as_json_line(response)}\n")
    else:
        ChatPrinter().print_whole(response)


def _print_stream(events: Iterator[ChatStreamResponse], output: str) -> None:
    if output == "json":
        for event in events:
            show(f"{as_json_line(event)}\n")
        return
    printer = ChatPrinter()
    try:
        for event in events:
            printer.print_event(event)
    except ValueError as error:
        raise CommandFailed(f"the stream makes no sense: {error}") from None
    finally:
        printer.end_line()
