"""How many input tokens Cohere can bill for a text or a chat at the most.

A byte-level tokenizer makes no token of less than one byte; but Cohere's brings text to Unicode's NFC first, and
what a chat holds as JSON, and all that its tools say, is written anew on the way to the model
(github.com/cohere-ai/melody): quoted, with a space behind commas and colons, numbers in full. Both can be longer.
"""

import enum
import unicodedata
from typing import Any, Final

from google.protobuf.message import Message

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, ContentBlock, Document, ImageUrl, Tool
from service.validation import input_bytes

NUMBER_SURPLUS_BYTES = 20
"""1e20 written in full, with a point and a zero."""
LONG_ESCAPE_SURPLUS_BYTES = 5
"""A control character becomes \\u and four digits."""

_SHORT: Final = b',:"\\\b\f\n\r\t'
"""What becomes one byte longer: by a space behind it, or a backslash before it."""
_LONG: Final = bytes(set(range(0x20)) - set(_SHORT))
_EXPONENTS: Final = bytes.maketrans(b"123456789E", b"000000000e")


def tokens_max(text: str) -> int:
    """The most tokens that a text can be."""
    return len(text) if text.isascii() else len(text.encode()) + nfc_surplus(text)


def chat_tokens_max(request: ChatRequest) -> int:
    """The most input tokens that a valid chat can be billed, those of its images included."""
    bound = input_bytes(request)
    for message in request.messages:
        if message.role in _SPEAKERS and (text := message.text):
            bound += nfc_surplus(text)  # there is nothing else in it, and to look would take a microsecond
        else:
            bound += _surplus(message, quoted=message.role == "tool")
    if request.tools or request.documents:
        for part in (*request.tools, *request.documents):
            bound += _surplus(part)
    return bound + nfc_surplus(request.response_format.json_schema)


class _How(enum.Enum):
    TEXT = "a text that the model reads as it is"
    JSON = "JSON, or a text that is quoted in it"
    MESSAGE = "another message"
    MESSAGES = "any number of them"


def _surplus(message: Message, *, quoted: bool = False) -> int:
    """By how many bytes the texts of *message* can grow; *quoted* says that plain ones stand within JSON, too."""
    surplus = 0
    for field, value in message.ListFields():
        how = _FIELDS.get(field)
        if how is _How.JSON or (quoted and how is _How.TEXT):
            surplus += _rewriting_surplus(value)
        elif how is _How.TEXT:
            surplus += nfc_surplus(value)
        elif how is _How.MESSAGES:
            for item in value:
                surplus += _surplus(item, quoted=quoted)
        elif how is _How.MESSAGE:
            surplus += _surplus(value, quoted=quoted)
    return surplus


def nfc_surplus(text: str) -> int:
    """By how many bytes a text grows in NFC: three times at the most, for nearly all text not at all."""
    if text.isascii():
        return 0
    composed = unicodedata.normalize("NFC", text)
    return 0 if composed == text else max(0, len(composed.encode()) - len(text.encode()))


def _rewriting_surplus(text: str) -> int:
    data = text.encode()
    surplus = nfc_surplus(text)
    surplus += len(data) - len(data.translate(None, _SHORT))
    surplus += LONG_ESCAPE_SURPLUS_BYTES * (len(data) - len(data.translate(None, _LONG)))
    # Also counts what only looks like a number, such as a part of a hexadecimal id.
    return surplus + NUMBER_SURPLUS_BYTES * data.translate(_EXPONENTS).count(b"0e")


_PLAIN: Final = frozenset(ChatMessage.DESCRIPTOR.fields_by_name[name] for name in ("text", "tool_plan")) | frozenset(
    ContentBlock.DESCRIPTOR.fields_by_name[name] for name in ("text", "thinking")
)
_SPEAKERS: Final = frozenset({"user", "system"})
_WORDS: Final = frozenset({"role", "type"})


def _fields(descriptor: Any) -> dict[Any, _How]:
    """How each field below a message can grow; without numbers, images and words of Cohere's, which cannot."""
    fields: dict[Any, _How] = {}
    for field in descriptor.fields:
        if field.message_type is ImageUrl.DESCRIPTOR or field.name in _WORDS:
            continue
        if field.message_type is not None:
            fields[field] = _How.MESSAGES if field.is_repeated else _How.MESSAGE
            fields |= _fields(field.message_type)
        elif field.type == field.TYPE_STRING and not field.is_repeated:
            fields[field] = _How.TEXT if field in _PLAIN else _How.JSON
    return fields


_FIELDS: Final = {
    field: how for part in (ChatMessage, Tool, Document) for field, how in _fields(part.DESCRIPTOR).items()
}
