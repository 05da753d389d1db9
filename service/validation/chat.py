"""The bounds of Chat and ChatStream, as Cohere documents them for POST /v2/chat."""

from cohort.v1.chat_pb2 import (
    ChatRequest,
    CitationOptions,
    FunctionDefinition,
    ResponseFormat,
    Thinking,
    Tool,
)
from service.validation.content import document
from service.validation.images import check_images_bytes
from service.validation.messages import messages
from service.validation.rules import PASSES, Rules, each, nested
from service.validation.values import count, json_object, model, one_of, real, tool_name, whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect

IMAGES_MAX = 20


def violations_of_chat(request: ChatRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none for a request that may be sent.

    Cohere documents the same bounds for a Chat and a ChatStream.

    Args:
        request: Is not changed.
    """
    return collect(_walk, request)


def _walk(findings: Findings, request: ChatRequest) -> None:
    _CHAT.check(findings, "", request)
    if findings.images > IMAGES_MAX:
        bounds = f"may hold at most {IMAGES_MAX} images in all"
        findings.add("messages", ViolationReason.TOO_MANY, f"{bounds}; holds {findings.images}")
    check_images_bytes(findings, "messages")
    if request.HasField("response_format"):
        others = [name for name in ("tools", "documents") if getattr(request, name)]
        if others:
            description = f"must not be set together with {' and '.join(others)}"
            findings.add("response_format", ViolationReason.CONFLICT, description)


def _response_format(findings: Findings, field: str, value: ResponseFormat) -> None:
    _RESPONSE_FORMAT.check(findings, f"{field}.", value)
    if value.type == "text" and value.HasField("json_schema"):
        findings.add(f"{field}.json_schema", ViolationReason.NOT_ALLOWED, "is only for type json_object")


def _thinking(findings: Findings, field: str, value: Thinking) -> None:
    _THINKING.check(findings, f"{field}.", value)
    # Cohere's reference requires the type, its guide leaves it out beside a budget; so a budget alone passes.
    if not value.type and not value.HasField("token_budget"):
        findings.add(f"{field}.type", ViolationReason.REQUIRED, "is required unless token_budget is set")


_RESPONSE_FORMAT = Rules.of(
    ResponseFormat,
    {"type": one_of("text", "json_object"), "json_schema": json_object},
    required=("type",),
)
_THINKING = Rules.of(Thinking, {"type": one_of("enabled", "disabled"), "token_budget": whole(1)})
_FUNCTION = Rules.of(
    FunctionDefinition,
    {"name": tool_name, "description": PASSES, "parameters_json": json_object},
    required=("name", "parameters_json"),
)
_TOOL = Rules.of(Tool, {"type": one_of("function"), "function": nested(_FUNCTION)}, required=("function",))
_CHAT = Rules.of(
    ChatRequest,
    {
        "model": model,
        "messages": messages,
        "tools": each(nested(_TOOL)),
        "strict_tools": PASSES,
        "documents": each(document),
        "citation_options": nested(Rules.of(CitationOptions, {"mode": word})),
        "response_format": _response_format,
        "safety_mode": word,
        "max_tokens": whole(1),
        "stop_sequences": count(5),
        "temperature": real(0, 1),
        "seed": PASSES,
        "frequency_penalty": real(0, 1),
        "presence_penalty": real(0, 1),
        "k": whole(0, 500),
        "p": real(0.01, 0.99),
        "logprobs": PASSES,
        "tool_choice": word,
        "thinking": _thinking,
        "priority": whole(0, 999),
    },
    required=("model", "messages"),
)
