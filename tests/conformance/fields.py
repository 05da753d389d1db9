"""Which fields of the contract a test reached, and which there are."""

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message


def fields_set(message: Message) -> set[str]:
    """The full names of all fields set in *message* and in the messages inside."""
    names = set()
    for field, value in message.ListFields():
        names.add(field.full_name)
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        inner = value if field.is_repeated else [value]
        names.update(*(fields_set(item) for item in inner))
    return names


def fields_of(descriptor: Descriptor, *, without: Iterable[str] = ()) -> set[str]:
    """The full names of all fields reachable from *descriptor*, *without* those and what is only below them."""
    names: set[str] = set()
    _collect(descriptor, set(without), names, set())
    return names


def _collect(descriptor: Descriptor, without: set[str], names: set[str], seen: set[str]) -> None:
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        if field.full_name in without:
            continue
        names.add(field.full_name)
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            _collect(field.message_type, without, names, seen)
