"""POST /v2/chat: what the sandbox's models say, and what that is billed."""

import hashlib
import re
from typing import Any

import orjson

from clients.sandbox import chat_request, chat_usage, quoting, schema, streaming, tokens, vectors
from clients.sandbox.answer import Answer
from clients.sandbox.chat_request import ChatRequest, texts_of
from clients.sandbox.errors import invalid
from clients.sandbox.reply import Reply

_GREETINGS = frozenset(("hi", "hello", "hey", "greetings"))
_GREETING_WORDS_MAX = 4
_COUNT = re.compile(r"\bcount (?:up )?(?:from 1 )?to (\d{1,9})\b", re.IGNORECASE)
_REPEAT = re.compile(r"\s*repeat after me:\s*(.+)", re.IGNORECASE | re.DOTALL)
_EXCERPT_TOKENS = 60
_TOPICS_MAX = 3


def answer(body: dict[str, Any], answer_id: str) -> Answer:
    """Answers a chat, unary or as a stream.

    Raises:
        CohereError: 400 or 404, as Cohere refuses.
    """
    request = chat_request.read(body)
    reply = _reply(request)
    usage = chat_usage.usage_of(request, reply)
    prompt_tokens, tokens_max = usage["tokens"]["input_tokens"], request.model.context_tokens
    if prompt_tokens > tokens_max:
        raise invalid(f"too many tokens: the prompt has {prompt_tokens} tokens, the maximum is {tokens_max} tokens.")
    units = usage["billed_units"]
    return Answer(
        reply.unary(answer_id, usage),
        request.model.name,
        units,
        events=streaming.events_of(reply, answer_id, usage) if request.stream else None,
        endless_units={**units, "output_tokens": request.max_tokens},
        counted=not request.stream,
        warning=request.warning,
    )


def _reply(request: ChatRequest) -> Reply:
    """The answer within max_tokens: first the thinking, then a tool plan with calls, or a text."""
    question = _question(request.messages)
    called = _called_tools(request, question)
    left = request.max_tokens
    thinking: list[str] = []
    if request.thinks:
        thought = tokens.pieces_of(_thought(question, called))[: request.token_budget]
        thinking = thought[:left]
        if len(thought) >= left:
            return Reply("MAX_TOKENS", thinking=thinking)
        left -= len(thinking)
    if called:
        return _calling(request, question, called, thinking, left)
    text, citations = _text(request, question)
    return _saying(request, text, citations, thinking, left)


def _saying(request: ChatRequest, text: str, citations: list[dict[str, Any]], thinking: list[str], left: int) -> Reply:
    finish_reason = "COMPLETE"
    stops = [start for sequence in request.stop_sequences if (start := text.find(sequence)) >= 0]
    if stops:
        text, finish_reason = text[: min(stops)], "STOP_SEQUENCE"
    pieces = tokens.pieces_of(text)
    if len(pieces) > left:
        pieces, finish_reason = pieces[:left], "MAX_TOKENS"
        text = "".join(pieces)
    citations = [citation for citation in citations if citation["end"] <= len(text)]
    if request.model.reasoning:
        where = {"content_index": 1 if thinking else 0, "type": "TEXT_CONTENT"}
        citations = [{**citation, **where} for citation in citations]
    return Reply(
        finish_reason,
        thinking=thinking,
        text=pieces,
        citations=citations,
        cites_early=request.cites_early,
        logprobs=request.logprobs,
    )


def _calling(
    request: ChatRequest, question: str, called: list[dict[str, Any]], thinking: list[str], left: int
) -> Reply:
    hints = schema.Hints.of(question)
    calls = [_tool_call(function, hints) for function in called]
    names = " and ".join(function["name"] for function in called)
    plan = [] if request.thinks else tokens.pieces_of(f"I will use {names} to answer the question.")
    needed = len(plan) + sum(chat_usage.of_call(call) for call in calls)
    if needed > left:
        return Reply("MAX_TOKENS", thinking=thinking, tool_plan=plan[:left])
    return Reply("TOOL_CALL", thinking=thinking, tool_plan=plan, tool_calls=calls)


def _tool_call(function: dict[str, Any], hints: schema.Hints) -> dict[str, Any]:
    parameters = function.get("parameters") or {"type": "object"}
    arguments = orjson.dumps(schema.instance({"type": "object", **parameters}, hints)).decode()
    # The same request gets the same id, whether streamed or not.
    mark = hashlib.sha256(f"{function['name']}\0{arguments}\0{hints.text}".encode()).hexdigest()[:12]
    return {
        "id": f"{function['name']}_{mark}",
        "type": "function",
        "function": {"name": function["name"], "arguments": arguments},
    }


def _called_tools(request: ChatRequest, question: str) -> list[dict[str, Any]]:
    """The tools to call: those the last user message names; if one must be called, at least the closest."""
    if not request.tools or request.tool_choice == "NONE":
        return []
    required = request.tool_choice == "REQUIRED"
    if not required and request.messages[-1]["role"] != "user":
        return []
    spoken = f" {' '.join(re.findall('[a-z0-9]+', question.lower()))} "
    named = [tool for tool in request.tools if f" {' '.join(tool['name'].lower().split('_')).strip()} " in spoken]
    if named or not required:
        return named
    wanted = set(vectors.words_of(question))

    def shared(function: dict[str, Any]) -> int:
        about = f"{function['name'].replace('_', ' ')} {function.get('description') or ''}"
        return sum(vectors.weight_of(word) for word in wanted & set(vectors.words_of(about)))

    return [max(request.tools, key=shared)]


def _text(request: ChatRequest, question: str) -> tuple[str, list[dict[str, Any]]]:
    """The whole answer with its citations, before any limit."""
    outputs: list[dict[str, Any]] = []
    for message in reversed(request.messages):
        if message["role"] != "tool":
            break
        outputs.insert(0, message)
    sources = quoting.tool_sources(outputs) + quoting.document_sources(request.documents)
    if sources:
        text, citations = quoting.quote(question, sources)
        return text, citations if request.cites else []
    if request.wants_json:
        value = (
            schema.instance(request.json_schema, schema.Hints.of(question))
            if request.json_schema
            else {"answer": _plain(question, request.max_tokens)}
        )
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(), []
    return _plain(question, request.max_tokens), []


def _plain(question: str, max_tokens: int) -> str:
    counting = _COUNT.search(question)
    if counting:
        # Every number is at least a token, so more than max_tokens of them are never sent.
        return ", ".join(map(str, range(1, min(int(counting.group(1)), max_tokens) + 1))) + "."
    repeating = _REPEAT.fullmatch(question)
    if repeating:
        return repeating.group(1)
    words = vectors.words_of(question)
    if len(words) <= _GREETING_WORDS_MAX and _GREETINGS & set(words):
        return "Hello! How can I help you today?"
    excerpt = tokens.truncated(question.strip(), _EXCERPT_TOKENS)
    return (
        f"This is the sandbox's answer about {_topics(words)}. You wrote: \u201c{excerpt}\u201d"
        " A model would answer here; the same question always gets this same answer."
    )


def _thought(question: str, called: list[dict[str, Any]]) -> str:
    thought = f"The user asks about {_topics(vectors.words_of(question))}."
    if called:
        return f"{thought} I will use {' and '.join(function['name'] for function in called)} to find out."
    return f"{thought} I should look at what was given, keep to it, and answer in a few plain sentences."


def _topics(words: list[str]) -> str:
    topics = list(dict.fromkeys(word for word in words if vectors.weight_of(word) > 1))[:_TOPICS_MAX]
    return ", ".join(topics) or "this"


def _question(messages: list[dict[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return "\n".join(texts_of(message))
    return ""
