"""Turns the fields that are set in a request's message into the members of a JSON object."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from google.protobuf.message import Message

Converters: TypeAlias = Mapping[str, Callable[[Any], Any]]
"""Field name → what makes its value one that orjson writes. A scalar needs none."""


def object_of(message: Message, converters: Converters) -> dict[str, Any]:
    """The JSON object with a member for each field that is set, of the field's name.

    "Set" is protobuf's word: an `optional` field counts if it was assigned, any other if it is not empty.
    So "" and [] are not sent, and 0, false and "" are where the contract keeps them apart from absent.
    """
    members = {}
    for field, value in message.ListFields():
        name = field.name
        convert = converters.get(name)
        members[name] = value if convert is None else convert(value)
    return members


def plain(message: Message) -> dict[str, Any]:
    """The JSON object of a message that holds only scalars."""
    return {field.name: value for field, value in message.ListFields()}


def each(convert: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """A converter for a repeated field, from one for its elements."""

    def converter(values: Sequence[Any]) -> list[Any]:
        return [convert(value) for value in values]

    return converter
