"""The body of POST /v2/chat, read and checked against Cohere's bounds."""

import re
from dataclasses import dataclass
from typing import Any

from clients.sandbox import fields, images, models
from clients.sandbox.errors import invalid
from clients.sandbox.models import Model

KNOWN_FIELDS = frozenset({
    "model", "messages", "stream", "tools", "strict_tools", "documents", "citation_options", "response_format",
    "safety_mode", "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty",
    "k", "p", "logprobs", "tool_choice", "thinking", "priority",
})  # fmt: skip
IMAGES_MAX = 20
IMAGES_BYTES_MAX = 20 * 1024 * 1024
STOP_SEQUENCES_MAX = 5
STRICT_TOOL_FIELDS_MAX = 200
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REMOTE_IMAGE_TOKENS = 2 * images.LOW_DETAIL_TOKENS
_BLOCKS = {
    "user": ("text", "image_url"),
    "assistant": ("text", "thinking"),
    "system": ("text",),
    "tool": ("text", "document"),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A valid request.

    Attributes:
        max_tokens: The longest answer, thinking included, in tokens; never above the model's maximum.
        token_budget: The longest thinking block in tokens, None for no bound of its own.
        image_tokens: What the messages' images count.
    """

    model: Model
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    documents: list[Any]
    cites: bool
    cites_early: bool
    json_schema: dict[str, Any] | None
    wants_json: bool
    max_tokens: int
    stop_sequences: list[str]
    logprobs: bool
    tool_choice: str | None
    thinks: bool
    token_budget: int | None
    image_tokens: int
    stream: bool
    warning: str


def read(body: dict[str, Any]) -> ChatRequest:
    """The request in *body*.

    Raises:
        CohereError: 400 or 404, as Cohere refuses.
    """
    model = models.find_for("chat", fields.required_text(body, "model"))
    fields.required(body, "messages")
    messages = fields.objects(body, "messages")
    if not messages:
        raise invalid("messages is required and cannot be empty")
    _check_sampling(body)
    wants_json, json_schema = _response_format(body)
    citation_mode = _citation_mode(body)
    thinks, token_budget = _thinking(body, model)
    max_tokens = fields.integer(body, "max_tokens", 1, None) or model.output_tokens_max
    return ChatRequest(
        model=model,
        messages=messages,
        tools=_tools(body),
        documents=_documents(body),
        cites=citation_mode not in {"OFF", "DISABLED"},
        cites_early=citation_mode == "FAST" or model.reasoning,
        json_schema=json_schema,
        wants_json=wants_json,
        max_tokens=min(max_tokens, model.output_tokens_max),
        stop_sequences=_stop_sequences(body),
        logprobs=fields.flag(body, "logprobs"),
        tool_choice=_tool_choice(body),
        thinks=thinks,
        token_budget=token_budget,
        image_tokens=_check_messages(messages, model),
        stream=fields.flag(body, "stream"),
        warning=fields.unknown(body, KNOWN_FIELDS),
    )


def texts_of(message: dict[str, Any]) -> list[str]:
    """The plain texts of a message that was read."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    return [block[kind] for block in content or [] if (kind := block["type"]) in {"text", "thinking"}]


def _check_sampling(body: dict[str, Any]) -> None:
    for name in ("temperature", "frequency_penalty", "presence_penalty"):
        fields.number(body, name, 0, 1)
    fields.number(body, "p", 0.01, 0.99)
    fields.integer(body, "k", 0, 500)
    fields.integer(body, "seed", 0, 2**64 - 1)
    fields.integer(body, "priority", 0, 999)
    fields.choice_of_any_case(body, "safety_mode", ("CONTEXTUAL", "STRICT", "OFF"))


def _response_format(body: dict[str, Any]) -> tuple[bool, dict[str, Any] | None]:
    wanted = fields.mapping(body, "response_format")
    if wanted is None:
        return False, None
    place = "response_format."
    kind = fields.choice(wanted, "type", ("text", "json_object"), place)
    if kind is None:
        raise invalid("response_format.type is required")
    # Cohere's documents say `schema`, its SDK `json_schema`; Cohere takes both.
    schema = fields.mapping(wanted, "json_schema", place) or fields.mapping(wanted, "schema", place)
    if kind == "json_object" and (body.get("tools") or body.get("documents")):
        raise invalid("response_format json_object cannot be used together with tools or documents")
    return kind == "json_object", schema


def _citation_mode(body: dict[str, Any]) -> str | None:
    options = fields.mapping(body, "citation_options") or {}
    modes = ("ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF")
    return fields.choice_of_any_case(options, "mode", modes, "citation_options.")


def _thinking(body: dict[str, Any], model: Model) -> tuple[bool, int | None]:
    options = fields.mapping(body, "thinking") or {}
    kind = fields.choice(options, "type", ("enabled", "disabled"), "thinking.")
    budget = fields.integer(options, "token_budget", 1, None, "thinking.")
    return model.reasoning and kind != "disabled", budget


def _stop_sequences(body: dict[str, Any]) -> list[str]:
    sequences = fields.texts(body, "stop_sequences")
    if len(sequences) > STOP_SEQUENCES_MAX:
        raise invalid(f"stop_sequences must be at most {STOP_SEQUENCES_MAX} - received {len(sequences)}")
    return [sequence for sequence in sequences if sequence]


def _tool_choice(body: dict[str, Any]) -> str | None:
    chosen = fields.choice(body, "tool_choice", ("REQUIRED", "NONE"))
    if chosen == "REQUIRED" and not body.get("tools"):
        raise invalid("tool_choice REQUIRED needs at least one tool")
    return chosen


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    functions = []
    for position, tool in enumerate(fields.objects(body, "tools")):
        place = f"tools[{position}]."
        fields.choice(tool, "type", ("function",), place)
        function = fields.mapping(tool, "function", place)
        if function is None:
            raise invalid(f"{place}function is required")
        name = fields.required_text(function, "name", f"{place}function.")
        if not _TOOL_NAME.fullmatch(name):
            raise invalid(f"{place}function.name may only contain A-Z a-z 0-9 _ and must not start with a digit")
        fields.text(function, "description", f"{place}function.")
        fields.mapping(function, "parameters", f"{place}function.")
        functions.append(function)
    if fields.flag(body, "strict_tools"):
        total = sum(len((function.get("parameters") or {}).get("properties") or ()) for function in functions)
        if total > STRICT_TOOL_FIELDS_MAX:
            raise invalid(f"strict_tools allows at most {STRICT_TOOL_FIELDS_MAX} fields - received {total}")
    return functions


def _documents(body: dict[str, Any]) -> list[Any]:
    documents = fields.items(body, "documents")
    for position, document in enumerate(documents):
        if isinstance(document, str):
            continue
        place = f"documents[{position}]"
        if not isinstance(document, dict):
            raise invalid(f"{place} must be a string or an object")
        fields.text(document, "id", f"{place}.")
        if not isinstance(document.get("data"), (dict, str)):
            raise invalid(f"{place}.data is required and must be an object")
    return documents


def _check_messages(messages: list[dict[str, Any]], model: Model) -> int:
    """Checks every message; returns what their images count."""
    pictures: list[dict[str, Any]] = []
    for position, message in enumerate(messages):
        place = f"messages[{position}]."
        role = fields.choice(message, "role", _BLOCKS, place)
        if role is None:
            raise invalid(f"{place}role is required")
        if role == "tool":
            fields.required_text(message, "tool_call_id", place)
        if role == "assistant":
            _check_assistant(message, place)
        elif not message.get("content"):
            raise invalid(f"{place}content is required and cannot be empty")
        pictures += _check_content(message, _BLOCKS[role], place)
    if pictures and not model.vision:
        raise invalid(f"model '{model.name}' does not support images")
    if len(pictures) > IMAGES_MAX:
        raise invalid(f"number of images must be at most {IMAGES_MAX} - received {len(pictures)}")
    return _image_tokens(pictures)


def _check_assistant(message: dict[str, Any], place: str) -> None:
    calls = fields.objects(message, "tool_calls", place)
    for position, call in enumerate(calls):
        here = f"{place}tool_calls[{position}]."
        fields.required_text(call, "id", here)
        function = fields.mapping(call, "function", here) or {}
        fields.required_text(function, "name", f"{here}function.")
        fields.text(function, "arguments", f"{here}function.")
    fields.text(message, "tool_plan", place)
    fields.objects(message, "citations", place)
    if not calls and not message.get("content") and not message.get("tool_plan"):
        raise invalid(f"{place}content or tool_calls is required")


def _check_content(message: dict[str, Any], allowed: tuple[str, ...], place: str) -> list[dict[str, Any]]:
    """Checks the content's blocks; returns the `image_url` of each image."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return []
    pictures = []
    for position, block in enumerate(fields.objects(message, "content", place)):
        here = f"{place}content[{position}]."
        kind = fields.choice(block, "type", allowed, here)
        if kind is None:
            raise invalid(f"{here}type is required")
        if kind in {"text", "thinking"}:
            if fields.text(block, kind, here) is None:
                raise invalid(f"{here}{kind} is required")
        else:
            value = fields.mapping(block, kind, here)
            if value is None:
                raise invalid(f"{here}{kind} is required")
            if kind == "image_url":
                fields.required_text(value, "url", f"{here}image_url.")
                fields.choice(value, "detail", ("auto", "low", "high"), f"{here}image_url.")
                pictures.append(value)
    return pictures


def _image_tokens(pictures: list[dict[str, Any]]) -> int:
    total = total_bytes = 0
    for picture in pictures:
        low = picture.get("detail") == "low"
        if picture["url"].startswith(("http://", "https://")):
            # Nothing is fetched: the sandbox speaks to nobody.
            total += images.LOW_DETAIL_TOKENS if low else _REMOTE_IMAGE_TOKENS
            continue
        image = images.decode(picture["url"], "image_url.url")
        total_bytes += len(image.data)
        total += images.LOW_DETAIL_TOKENS if low else image.tokens
    if total_bytes > IMAGES_BYTES_MAX:
        raise invalid(f"total size of images must be at most {IMAGES_BYTES_MAX} bytes - received {total_bytes}")
    return total
