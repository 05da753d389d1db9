"""Quotes from given sources, and the citations that say where each came from.

A source is a document of the request or the output of a tool. The sentence of each source that shares most
with the question is quoted; offsets are Unicode code points of the answer's text, as Cohere counts them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from clients.sandbox import vectors

_QUOTES_MAX = 3
_SENTENCES_READ_MAX = 200
_SENTENCE = re.compile(r"\S(?:(?![.!?](?:\s|$)|\n).)*[.!?]?")
_TEXT_FIELDS = ("text", "snippet", "content", "contents", "body")
NOTHING_FOUND = "The given sources do not answer this. The closest passage is: "


@dataclass(frozen=True, slots=True)
class Source:
    """Something to quote from: its text, and what a citation shows of it."""

    text: str
    shown: dict[str, Any]


def document_sources(documents: list[Any]) -> list[Source]:
    """The request's documents, plain strings or `{id?, data}`."""
    sources = []
    for position, document in enumerate(documents):
        data = document if isinstance(document, str) else document.get("data", {})
        given_id = None if isinstance(document, str) else document.get("id")
        source_id = str(given_id or f"doc:{position}")
        shown = data if isinstance(data, dict) else {"text": str(data)}
        sources.append(
            Source(readable(data), {"type": "document", "id": source_id, "document": {"id": source_id, **shown}})
        )
    return sources


def tool_sources(messages: list[dict[str, Any]]) -> list[Source]:
    """The outputs in the tool messages that end a conversation."""
    sources = []
    for message in messages:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for position, block in enumerate(blocks):
            output = block.get("document", {}).get("data", {}) if block["type"] == "document" else block["text"]
            given_id = block.get("document", {}).get("id") if block["type"] == "document" else None
            value = parsed(output)
            shown = value if isinstance(value, dict) else {"content": output}
            source_id = str(given_id or f"{message['tool_call_id']}:{position}")
            sources.append(Source(readable(value), {"type": "tool", "id": source_id, "tool_output": shown}))
    return sources


def parsed(output: Any) -> Any:
    """The JSON object in a tool's text, or what was given."""
    if isinstance(output, str):
        try:
            value = orjson.loads(output)
        except orjson.JSONDecodeError:
            return output
        return value if isinstance(value, dict) else output
    return output


def readable(data: Any) -> str:
    """The text of a document: its text field if it has one, else its scalar fields."""
    if not isinstance(data, dict):
        return data if isinstance(data, str) else orjson.dumps(data).decode()
    for name in _TEXT_FIELDS:
        if isinstance(data.get(name), str):
            return str(data[name])
    return ", ".join(f"{name}: {value}" for name, value in data.items() if isinstance(value, (str, int, float)))


def quote(question: str, sources: list[Source]) -> tuple[str, list[dict[str, Any]]]:
    """The answer's text and its citations, each `{start, end, text, sources}`."""
    wanted = set(vectors.words_of(question))
    best = [(*_best_sentence(wanted, source.text), source) for source in sources]
    best = [entry for entry in best if entry[1]]
    if not best:
        return "The given sources are empty.", []
    lead = ""
    found = sorted((entry for entry in best if entry[0] > 0), key=lambda entry: -entry[0])
    if not found:
        lead, found = NOTHING_FOUND, best[:1]
    shown: dict[str, list[dict[str, Any]]] = {}
    for _, sentence, source in found:
        if sentence in shown or len(shown) < _QUOTES_MAX:
            shown.setdefault(sentence, []).append(source.shown)
    return _cited(lead, shown)


def _cited(text: str, shown: dict[str, list[dict[str, Any]]]) -> tuple[str, list[dict[str, Any]]]:
    citations: list[dict[str, Any]] = []
    for sentence, sources in shown.items():
        if citations:
            text += " "
        citations.append({"start": len(text), "end": len(text) + len(sentence), "text": sentence, "sources": sources})
        text += sentence
    return text, citations


def _best_sentence(wanted: set[str], text: str) -> tuple[float, str]:
    """The first of the best sentences with its score; ("" and 0 for an empty text)."""
    best_score, best = 0.0, ""
    for sentence in _sentences(text):
        words = vectors.words_of(sentence)
        shared = sum(vectors.weight_of(word) for word in set(words) & wanted if vectors.weight_of(word) > 1)
        score = shared / (1 + len(words)) ** 0.5
        if not best or score > best_score:
            best_score, best = score, sentence
    return best_score, best


def _sentences(text: str) -> Iterable[str]:
    for _, match in zip(range(_SENTENCES_READ_MAX), _SENTENCE.finditer(text), strict=False):
        yield match.group().rstrip()
