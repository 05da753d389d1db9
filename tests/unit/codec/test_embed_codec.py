import base64
import json
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.codec import embed
from clients.codec.embed import FloatsAs, wants_floats
from clients.codec.errors import MalformedAnswer
from cohort.v1.chat_pb2 import ContentBlock, ImageUrl
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest, EmbedResponse

VECTORS = [[0.5, -0.25], [1.0, 3.0]]


def in_base64(vectors: list[list[float]], order: str = "<") -> list[str]:
    return [base64.b64encode(struct.pack(f"{order}{len(vector)}f", *vector)).decode() for vector in vectors]


def asked(types: list[str], floats_as: FloatsAs) -> list[str] | None:
    body = json.loads(embed.encode(EmbedRequest(embedding_types=types), floats_as=floats_as))
    result: list[str] | None = body.get("embedding_types")
    return result


def decoded(embeddings: Any, types: list[str], floats_as: FloatsAs) -> tuple[EmbedResponse, bool]:
    response = EmbedResponse()
    request = EmbedRequest(embedding_types=types)
    equal = embed.decode(orjson.dumps({"embeddings": embeddings}), response, request=request, floats_as=floats_as)
    return response, equal


def floats(response: EmbedResponse) -> list[list[float]]:
    return [list(vector.values) for vector in response.embeddings.floats]


@pytest.mark.parametrize(
    ("types", "as_base64", "as_float", "as_both"),
    [
        ([], ["base64"], None, ["float", "base64"]),
        (["float"], ["base64"], ["float"], ["float", "base64"]),
        (["int8", "float"], ["int8", "base64"], ["int8", "float"], ["int8", "float", "base64"]),
        (["float", "base64"], ["base64"], ["float", "base64"], ["float", "base64"]),
        (["base64", "float"], ["base64"], ["base64", "float"], ["base64", "float"]),
        (["base64"], ["base64"], ["base64"], ["base64"]),
        (["int8"], ["int8"], ["int8"], ["int8"]),
    ],
)
def test_floats_are_asked_for_as_told(
    types: list[str], as_base64: list[str], as_float: list[str] | None, as_both: list[str]
) -> None:
    assert asked(types, FloatsAs.BASE64) == as_base64
    assert asked(types, FloatsAs.FLOAT) == as_float
    assert asked(types, FloatsAs.BOTH) == as_both
    assert wants_floats(EmbedRequest(embedding_types=types)) == (not types or "float" in types)


def test_inputs_may_mix_text_and_images() -> None:
    content = [ContentBlock(text="a"), ContentBlock(image_url=ImageUrl(url="data:"))]
    request = EmbedRequest(inputs=[EmbedInput(content=content)])

    assert json.loads(embed.encode(request, floats_as=FloatsAs.FLOAT)) == {
        "inputs": [{"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}]}]
    }


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_base64_becomes_floats_bit_for_bit(vectors: list[list[float]]) -> None:
    response, equal = decoded({"base64": in_base64(vectors)}, ["float"], FloatsAs.BASE64)

    assert equal
    assert in_base64(floats(response)) == in_base64(vectors)
    assert not response.embeddings.base64


@pytest.mark.parametrize("dimension", [1, 31, 32, 1536, 4096, 600_000])
def test_vectors_of_any_dimension_are_read(dimension: int) -> None:
    vectors = [[0.5] * dimension, [-1.0] * dimension]

    assert floats(decoded({"base64": in_base64(vectors)}, [], FloatsAs.BASE64)[0]) == vectors


def test_base64_is_shown_to_who_asked_for_it() -> None:
    encoded = in_base64(VECTORS)

    both = decoded({"base64": encoded}, ["float", "base64"], FloatsAs.BASE64)[0]
    alone = decoded({"base64": encoded}, ["base64"], FloatsAs.BASE64)[0]
    nobody = decoded({"int8": [[1]], "base64": encoded}, ["int8"], FloatsAs.BASE64)[0]

    assert (floats(both), list(both.embeddings.base64)) == (VECTORS, encoded)
    assert (floats(alone), list(alone.embeddings.base64)) == ([], encoded)
    assert (floats(nobody), list(nobody.embeddings.base64)) == ([], [])


def test_numbers_stand_in_where_base64_was_not_understood() -> None:
    response, equal = decoded({"float": VECTORS}, ["float"], FloatsAs.BASE64)

    assert equal
    assert floats(response) == VECTORS


@pytest.mark.parametrize(
    ("encoded", "equal"),
    [
        (in_base64(VECTORS), True),
        (in_base64(VECTORS, ">"), False),
        (in_base64([[0.5, -0.25], [1.0, 3.0000002]]), False),
        (in_base64(VECTORS[:1]), False),
        (["!!!!"], False),
        (None, False),
        ([], False),
        ("AAAA", False),
    ],
)
def test_both_forms_are_compared_and_the_numbers_taken(encoded: Any, *, equal: bool) -> None:
    response, actual = decoded({"float": VECTORS, "base64": encoded}, ["float"], FloatsAs.BOTH)

    assert actual is equal
    assert floats(response) == VECTORS


def test_negative_zero_differs_from_zero_bit_for_bit() -> None:
    assert not decoded({"float": [[0.0]], "base64": in_base64([[-0.0]])}, [], FloatsAs.BOTH)[1]


def test_whole_numbers_and_bits_become_bytes() -> None:
    types = ["int8", "uint8", "binary", "ubinary"]
    answer = {"int8": [[-128, -1, 127]], "uint8": [[0, 255]], "binary": [[-128]], "ubinary": [[255]]}
    embeddings = decoded(answer, types, FloatsAs.BASE64)[0].embeddings

    assert list(embeddings.int8) == [b"\x80\xff\x7f"]
    assert list(embeddings.uint8) == [b"\x00\xff"]
    assert list(embeddings.binary) == [b"\x80"]
    assert list(embeddings.ubinary) == [b"\xff"]


@pytest.mark.parametrize(
    ("embeddings", "place"),
    [
        (None, "/embeddings"),
        ("secret", "/embeddings"),
        ([], "/embeddings"),
        ({}, "/embeddings"),
        ({"base64": None}, "/embeddings"),
        ({"base64": "AAAAAA=="}, "/embeddings"),
        ({"base64": [5]}, "/embeddings"),
        ({"base64": ["!!!!"]}, "/embeddings"),
        ({"base64": ["AAAA\nAA=="]}, "/embeddings"),
        ({"base64": ["AAAAAAA="]}, "/embeddings"),
        ({"base64": ["AAAAAA==", "AAAAAAAAAAA="]}, "/embeddings"),
        ({"float": [0.5]}, "/embeddings"),
        ({"float": [["secret"]]}, "/embeddings"),
        ({"float": [[None]]}, "/embeddings"),
        ({"float": [[True]]}, "/embeddings"),
        ({"float": [[1e39]]}, "/embeddings"),
        ({"float": [[0.5]], "int8": [[128]]}, "/embeddings/int8"),
        ({"float": [[0.5]], "int8": [[1.5]]}, "/embeddings/int8"),
        ({"float": [[0.5]], "uint8": [[-1]]}, "/embeddings/uint8"),
        ({"float": [[0.5]], "uint8": [[True]]}, "/embeddings/uint8"),
        ({"float": [[0.5]], "uint8": [5]}, "/embeddings/uint8"),
        ({"float": [[0.5]], "ubinary": {"secret": [1]}}, "/embeddings/ubinary"),
    ],
)
@pytest.mark.parametrize("floats_as", [FloatsAs.BASE64])
def test_malformed_vectors_are_named_by_their_place(embeddings: Any, place: str, floats_as: FloatsAs) -> None:
    with pytest.raises(MalformedAnswer) as raised:
        decoded(embeddings, ["float", "int8"], floats_as)

    assert place in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("floats_as", [FloatsAs.FLOAT, FloatsAs.BOTH])
def test_floats_that_were_asked_for_must_come(floats_as: FloatsAs) -> None:
    with pytest.raises(MalformedAnswer):
        decoded({"base64": in_base64(VECTORS)}, [], floats_as)


def test_unknown_members_are_kept() -> None:
    response = decoded({"int4": [[1]], "int8": [[1]]}, ["int8"], FloatsAs.BASE64)[0]

    assert dict(response.extra_json) == {"/embeddings/int4": "[[1]]"}
