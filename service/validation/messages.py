"""What a chat message may hold, by its role. Structure the contract's flat message cannot enforce."""

from collections.abc import Sequence
from dataclasses import dataclass

from cohort.v1.chat_pb2 import ChatMessage, Citation, FunctionCall, Source, ToolCall
from service.validation.content import block
from service.validation.rules import PASSES, Rule, Rules, each, nested
from service.validation.values import json_object, one_of, word
from service.validation.violation import Findings, ViolationReason

_TEXT = ChatMessage.DESCRIPTOR.fields_by_name["text"]
_ROLES_OF_TEXT_ALONE = frozenset({"assistant", "system", "user"})


@dataclass(frozen=True, slots=True)
class _Role:
    """What a message of one role may hold.

    Attributes:
        content: The rule for its blocks.
        allowed: The fields it may set.
        required: The fields it must set.
        alternatives: The fields of which it must set one.
    """

    content: Rule
    allowed: frozenset[str]
    required: frozenset[str]
    alternatives: frozenset[str]


def _role(
    name: str,
    *kinds: str,
    may: tuple[str, ...] = (),
    must: tuple[str, ...] = (),
    instead_of_content: tuple[str, ...] = (),
) -> _Role:
    return _Role(
        each(block(*kinds, "other_json", place=f"a message of role {name}", web_images=True)),
        allowed=frozenset({"role", "text", "content", *may, *must, *instead_of_content}),
        required=frozenset(must),
        alternatives=frozenset({"text", "content", *instead_of_content}),
    )


_ROLES = {
    "assistant": _role(
        "assistant", "text", "thinking", may=("citations",), instead_of_content=("tool_calls", "tool_plan")
    ),
    "system": _role("system", "text"),
    "tool": _role("tool", "text", "document", must=("tool_call_id",)),
    "user": _role("user", "text", "image_url"),
}
_ANY_BLOCKS = each(block("text", "thinking", "image_url", "document", "other_json", place="a message", web_images=True))
_role_word = one_of(*_ROLES)


def messages(findings: Findings, field: str, value: Sequence[ChatMessage]) -> None:
    """Checks the messages of a chat, in order."""
    findings.take_parts(field, len(value))
    for index, message in enumerate(value):
        fields = message.ListFields()
        # Nearly every message is a role and a text; the table is for the others.
        if len(fields) == 2 and fields[1][0] is _TEXT and fields[0][1] in _ROLES_OF_TEXT_ALONE:
            continue
        _message(findings, f"{field}[{index}]", message)


def _message(findings: Findings, path: str, message: ChatMessage) -> None:
    present = {descriptor.name for descriptor, _ in message.ListFields()}
    _MESSAGE.check(findings, f"{path}.", message)
    role = _ROLES.get(message.role)
    if "content" in present:
        content_rule = _ANY_BLOCKS if role is None else role.content
        content_rule(findings, f"{path}.content", message.content)
        if "text" in present:
            findings.add(f"{path}.content", ViolationReason.CONFLICT, "must not be set together with text")
    if role is not None:
        _fields_of_role(findings, path, role, present)


def _fields_of_role(findings: Findings, path: str, role: _Role, present: set[str]) -> None:
    for field in sorted(present - role.allowed):
        findings.add(f"{path}.{field}", ViolationReason.NOT_ALLOWED, "a message of this role has none")
    for field in sorted(role.required - present):
        findings.add(f"{path}.{field}", ViolationReason.REQUIRED, "a message of this role must have one")
    if role.alternatives.isdisjoint(present):
        fields = ", ".join(sorted(role.alternatives))
        findings.add(f"{path}.text", ViolationReason.REQUIRED, f"must have one of {fields}")


def _source(findings: Findings, field: str, value: Source) -> None:
    kind = value.WhichOneof("source")
    if kind is None:
        kinds = "document_json, tool_output_json or other_json"
        findings.add(field, ViolationReason.REQUIRED, f"must hold {kinds}")
    else:
        json_object(findings, f"{field}.{kind}", getattr(value, kind))


_FUNCTION_CALL = Rules.of(FunctionCall, {"name": PASSES, "arguments": PASSES}, required=("name",))
_TOOL_CALL = Rules.of(
    ToolCall,
    {"id": PASSES, "type": one_of("function"), "function": nested(_FUNCTION_CALL)},
    required=("id", "function"),
)
_CITATION = Rules.of(
    Citation,
    {
        "start": PASSES,
        "end": PASSES,
        "text": PASSES,
        "sources": each(_source),
        "content_index": PASSES,
        "type": word,
    },
)
_MESSAGE = Rules.of(
    ChatMessage,
    {
        "role": _role_word,
        "text": PASSES,
        "content": PASSES,  # by role, in `_message`
        "tool_calls": each(nested(_TOOL_CALL)),
        "tool_plan": PASSES,
        "citations": each(nested(_CITATION)),
        "tool_call_id": PASSES,
    },
    required=("role",),
)
