"""`cohort call embed`: one Embed."""

import argparse

from cohort.v1.embed_pb2 import EmbedRequest, EmbedResponse
from service.cli import calling
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.defaults import EMBED_MODEL
from service.cli.printing import show, show_end
from service.cli.requests import add_json, add_output, as_json_line, from_json

INPUT_TYPE_DEFAULT = "search_document"
NUMBERS_SHOWN = 6


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="what to embed, up to 96 texts")
    parser.add_argument("--model", help=f"default: {EMBED_MODEL}")
    parser.add_argument("--input-type", help=f"what the vectors are for (default: {INPUT_TYPE_DEFAULT})")
    add_json(parser, "EmbedRequest")
    add_output(parser)
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def request_of(arguments: argparse.Namespace) -> EmbedRequest:
    """The request that the arguments describe.

    Raises:
        CommandFailed: They describe none.
    """
    if arguments.json is not None:
        return from_json(EmbedRequest(), arguments, ("texts", "model", "input_type"))
    if not arguments.texts:
        raise CommandFailed("what to embed? give texts, or --json", NOT_STARTED)
    return EmbedRequest(
        model=arguments.model or EMBED_MODEL,
        input_type=arguments.input_type or INPUT_TYPE_DEFAULT,
        texts=arguments.texts,
    )


def described(response: EmbedResponse, request: EmbedRequest) -> list[str]:
    """A line for each vector of floats: its size, its first numbers, and what it stands for."""
    lines = []
    for number, vector in enumerate(response.embeddings.floats):
        first = ", ".join(f"{value:.4f}" for value in vector.values[:NUMBERS_SHOWN])
        text = f"  {request.texts[number]}" if number < len(request.texts) else ""
        lines.append(f"[{first}, …] {len(vector.values)} numbers{text}")
    return lines


def _run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    with calling.caller(arguments) as caller:
        response = caller.call(caller.stub.Embed, request)
    if arguments.output == "json":
        show(f"{as_json_line(response)}\n")
        return 0
    show("".join(f"{line}\n" for line in described(response, request)))
    show_end(response.meta.billed_units, response.receipt)
    return 0
