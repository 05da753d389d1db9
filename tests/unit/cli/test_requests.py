import argparse
from pathlib import Path

import pytest

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.cli import call_chat, call_embed, call_rerank, main
from service.cli.commands import CommandFailed
from service.cli.main import parser


def parsed(*argv: str) -> argparse.Namespace:
    return parser().parse_args(["call", *argv])


def test_a_text_alone_is_a_whole_chat() -> None:
    request = call_chat.request_of(parsed("chat", "Hi"))

    assert request == ChatRequest(model="command-a-03-2025", messages=[ChatMessage(role="user", text="Hi")])


def test_every_flag_of_chat_is_a_field() -> None:
    argv = "chat Hi --model m --system Short. --document one --document two --max-tokens 7 --temperature 0"

    request = call_chat.request_of(parsed(*argv.split()))

    assert [(message.role, message.text) for message in request.messages] == [("system", "Short."), ("user", "Hi")]
    assert [document.text for document in request.documents] == ["one", "two"]
    assert (request.model, request.max_tokens, request.temperature) == ("m", 7, 0)
    assert request.HasField("temperature")


def test_flags_that_were_not_given_are_fields_that_are_not_set() -> None:
    request = call_chat.request_of(parsed("chat", "Hi"))

    assert not request.HasField("max_tokens")
    assert not request.HasField("temperature")


def test_a_chat_may_come_whole_as_json() -> None:
    text = '{"model":"m","messages":[{"role":"user","text":"Hi"}],"seed":"18446744073709551615"}'

    request = call_chat.request_of(parsed("chat", "--json", text))

    assert request.seed == 2**64 - 1
    assert request.messages[0].text == "Hi"


def test_json_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"model":"m","texts":["a"]}')

    request = call_embed.request_of(parsed("embed", "--json", f"@{tmp_path}/request.json"))

    assert request == EmbedRequest(model="m", texts=["a"])


@pytest.mark.parametrize(
    "argv",
    [
        ["chat"],
        ["embed"],
        ["rerank"],
        ["rerank", "query"],
        ["rerank", "--documents", "a"],
        ["chat", "--json", '{"modell":"m"}'],
        ["chat", "--json", '{"model":'],
        ["chat", "--json", "@/nowhere/request.json"],
        ["chat", "Hi", "--json", "{}"],
        ["chat", "--max-tokens", "7", "--json", "{}"],
        ["chat", "--temperature", "0", "--json", "{}"],
        ["embed", "a", "--json", "{}"],
        ["embed", "--input-type", "x", "--json", "{}"],
        ["rerank", "--documents", "a", "--json", "{}"],
        ["rerank", "q", "--documents-file", "/nowhere/documents"],
    ],
    ids=" ".join,
)
def test_what_describes_no_request_ends_with_2_before_anything_is_called(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["call", *argv])
    captured = capsys.readouterr()

    assert code == 2
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_what_stands_beside_json_is_named() -> None:
    with pytest.raises(CommandFailed, match=r"leave out text, model, max_tokens$"):
        call_chat.request_of(parsed("chat", "Hi", "--max-tokens", "1", "--model", "m", "--json", "{}"))


def test_texts_are_a_whole_embed() -> None:
    request = call_embed.request_of(parsed("embed", "a", "b"))

    assert request == EmbedRequest(model="embed-v4.0", input_type="search_document", texts=["a", "b"])


def test_every_flag_of_embed_is_a_field() -> None:
    request = call_embed.request_of(parsed("embed", "a", "--model", "m", "--input-type", "clustering"))

    assert request == EmbedRequest(model="m", input_type="clustering", texts=["a"])


def test_documents_come_from_the_command_line_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "documents").write_text("second\nthird\n")
    argv = ["rerank", "query", "--top-n", "2", "--documents", "first", "--documents-file", f"{tmp_path}/documents"]

    request = call_rerank.request_of(parsed(*argv))

    assert request == RerankRequest(model="rerank-v3.5", query="query", documents=["first", "second", "third"], top_n=2)
