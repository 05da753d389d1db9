"""Embedding vectors as bytes, without a Python number for each of their elements where there is a way.

A packed `repeated float` is its float32 values, little-endian, one after the other: what base64 holds.
`MergeFromString` puts them into a message 30 times faster than `extend` does.
"""

import struct
from typing import Any

import pybase64

from clients.codec.filling import Extra, Filler, Path, listed
from cohort.v1.embed_pb2 import Embeddings

FLOAT_BYTES = 4


def from_base64(encoded: list[Any]) -> list[bytes]:
    """The float32 bytes of vectors in base64.

    Raises:
        TypeError: One is not a string.
        ValueError: One is not strict base64, not of whole float32s, or not as long as the others.
    """
    # Without `validate` characters outside the alphabet are passed over: wrong vectors without an error.
    vectors = [pybase64.b64decode(text, validate=True) for text in encoded]
    sizes_bytes = {len(vector) for vector in vectors}
    if len(sizes_bytes) > 1 or any(size % FLOAT_BYTES for size in sizes_bytes):
        raise ValueError
    return vectors


def from_numbers(vectors: list[Any]) -> list[bytes]:
    """The float32 bytes, little-endian, of vectors of JSON numbers.

    Raises:
        TypeError, struct.error: An element is not a number.
        OverflowError: An element is no float32.
    """
    return [struct.pack(f"<{len(_numbers(vector))}f", *vector) for vector in vectors]


def add_floats(embeddings: Embeddings, vectors: list[bytes]) -> None:
    """Adds a float vector for each of *vectors*, which hold float32 values, little-endian."""
    add = embeddings.floats.add
    head, head_bytes = b"", -1
    for vector in vectors:
        if len(vector) != head_bytes:
            head, head_bytes = _head(len(vector)), len(vector)
        add().MergeFromString(head + vector)


def signed(field: str) -> Filler:
    """A filler for vectors of numbers from -128 to 127: bytes in two's complement."""

    def filler(embeddings: Any, value: Any, _extra: Extra, _path: Path) -> None:
        packed = [struct.pack(f"{len(_numbers(vector))}b", *vector) for vector in listed(value)]
        getattr(embeddings, field).extend(packed)

    return filler


def unsigned(field: str) -> Filler:
    """A filler for vectors of numbers from 0 to 255."""

    def filler(embeddings: Any, value: Any, _extra: Extra, _path: Path) -> None:
        getattr(embeddings, field).extend([bytes(_numbers(vector)) for vector in listed(value)])

    return filler


def _numbers(vector: Any) -> list[Any]:
    if bool in map(type, listed(vector)):  # struct and bytes would take them as 1 and 0
        raise TypeError
    return vector  # type: ignore[no-any-return]


def _head(size_bytes: int) -> bytes:
    """Tag and length of `FloatVector.values` on the wire: field 1, length-delimited, a varint."""
    head = bytearray(b"\x0a")
    while size_bytes > 0x7F:
        head.append(size_bytes & 0x7F | 0x80)
        size_bytes >>= 7
    head.append(size_bytes)
    return bytes(head)
