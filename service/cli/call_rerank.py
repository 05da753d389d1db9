"""`cohort call rerank`: one Rerank."""

import argparse
from pathlib import Path

from cohort.v1.rerank_pb2 import RerankRequest, RerankResponse
from service.cli import calling
from service.cli.commands import NOT_STARTED, CommandFailed
from service.cli.defaults import RERANK_MODEL
from service.cli.printing import show, show_end
from service.cli.requests import add_json, add_output, as_json_line, from_json


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("query", nargs="?", metavar="QUERY", help="what is looked for")
    parser.add_argument("--documents", action="extend", nargs="+", metavar="TEXT", help="the documents to order")
    parser.add_argument("--documents-file", type=Path, metavar="FILE", help="more documents, one a line")
    parser.add_argument("--model", help=f"default: {RERANK_MODEL}")
    parser.add_argument("--top-n", type=int, metavar="N", help="only the most relevant N")
    add_json(parser, "RerankRequest")
    add_output(parser)
    calling.add_target(parser)
    parser.set_defaults(run=_run)


def request_of(arguments: argparse.Namespace) -> RerankRequest:
    """The request that the arguments describe.

    Raises:
        CommandFailed: They describe none.
    """
    if arguments.json is not None:
        names = ("query", "documents", "documents_file", "model", "top_n")
        return from_json(RerankRequest(), arguments, names)
    documents: list[str] = arguments.documents or []
    if arguments.documents_file is not None:
        try:
            documents = [*documents, *arguments.documents_file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise CommandFailed(f"--documents-file: {error}", NOT_STARTED) from None
    if arguments.query is None or not documents:
        raise CommandFailed("what to order? give QUERY and --documents or --documents-file, or --json", NOT_STARTED)
    return RerankRequest(
        model=arguments.model or RERANK_MODEL, query=arguments.query, documents=documents, top_n=arguments.top_n
    )


def described(response: RerankResponse, request: RerankRequest) -> list[str]:
    """A line for each document, the most relevant first: score, place in the request, text."""
    return [
        f"{result.relevance_score:.4f}  {result.index}  {request.documents[result.index]}"
        for result in response.results
    ]


def _run(arguments: argparse.Namespace) -> int:
    request = request_of(arguments)
    with calling.caller(arguments) as caller:
        response = caller.call(caller.stub.Rerank, request)
    if arguments.output == "json":
        show(f"{as_json_line(response)}\n")
        return 0
    show("".join(f"{line}\n" for line in described(response, request)))
    show_end(response.meta.billed_units, response.receipt)
    return 0
