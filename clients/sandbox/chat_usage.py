"""What a chat consumed: the units Cohere bills, and its own larger count of tokens.

Billed are the texts, images, documents and tools of the request and the tokens of the answer. Around every
request Cohere puts a prompt of its own, and around citations and tool calls a markup: counted, not billed.
"""

from typing import Any

import orjson

from clients.sandbox import tokens
from clients.sandbox.chat_request import ChatRequest, texts_of
from clients.sandbox.reply import Reply

_PROMPT_TOKENS, _MESSAGE_TOKENS, _DOCUMENTS_TOKENS, _TOOLS_TOKENS = 62, 4, 613, 905
_CITATION_TOKENS, _TOOL_CALL_TOKENS = 12, 8
_CACHE_BLOCK_TOKENS = 16


def usage_of(request: ChatRequest, reply: Reply) -> dict[str, Any]:
    """The `usage` of the answer."""
    prompt = request.image_tokens
    prompt += sum(_of_message(message) for message in request.messages)
    prompt += sum(_of_document(document) for document in request.documents)
    prompt += sum(_of_tool(function) for function in request.tools)
    output = len(reply.thinking) + len(reply.tool_plan) + len(reply.text or ())
    output += sum(of_call(call) for call in reply.tool_calls)
    overhead = _PROMPT_TOKENS + _MESSAGE_TOKENS * len(request.messages)
    overhead += _DOCUMENTS_TOKENS * bool(request.documents) + _TOOLS_TOKENS * bool(request.tools)
    markup = _CITATION_TOKENS * len(reply.citations) + _TOOL_CALL_TOKENS * len(reply.tool_calls)
    counts = {"input_tokens": prompt + overhead, "output_tokens": output + markup}
    if request.image_tokens:
        counts["image_tokens"] = request.image_tokens
    if reply.thinking:
        counts["reasoning_tokens"] = len(reply.thinking)
    usage: dict[str, Any] = {
        "billed_units": {"input_tokens": prompt, "output_tokens": output},
        "tokens": counts,
    }
    if request.model.reasoning:
        usage["cached_tokens"] = overhead // _CACHE_BLOCK_TOKENS * _CACHE_BLOCK_TOKENS
    return usage


def of_call(call: dict[str, Any]) -> int:
    """The tokens of a tool call."""
    function = call["function"]
    return tokens.count(function["name"]) + tokens.count(function.get("arguments") or "")


def _of_message(message: dict[str, Any]) -> int:
    count = sum(map(tokens.count, texts_of(message))) + tokens.count(message.get("tool_plan") or "")
    count += sum(map(of_call, message.get("tool_calls") or ()))
    content = message.get("content")
    blocks = content if isinstance(content, list) else ()
    return count + sum(_of_document(block["document"]) for block in blocks if block["type"] == "document")


def _of_document(document: Any) -> int:
    data = document.get("data", {}) if isinstance(document, dict) else document
    return tokens.count(data if isinstance(data, str) else orjson.dumps(data).decode())


def _of_tool(function: dict[str, Any]) -> int:
    count = tokens.count(function["name"]) + tokens.count(function.get("description") or "")
    parameters = function.get("parameters")
    return count + (tokens.count(orjson.dumps(parameters).decode()) if parameters else 0)
