import base64
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.sandbox import embed, rerank, vectors
from clients.sandbox.errors import CohereError
from tests.unit.sandbox.pictures import PNG_URI

# Made-up words of one weight, all different under the sandbox's spelling.
WORDS = [f"zq{chr(97 + n // 10)}x{chr(97 + n % 10)}y" for n in range(60)]
ALL_TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


def embedded(texts: list[str], **members: Any) -> dict[str, Any]:
    body = {"model": "embed-v4.0", "input_type": "search_document", "texts": texts, **members}
    answer: dict[str, Any] = embed.answer(body, "id").body["embeddings"]
    return answer


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


@given(shared=st.integers(0, 20), own=st.integers(1, 20))
@settings(deadline=None, max_examples=50)
def test_the_cosine_follows_the_words_that_are_shared(shared: int, own: int) -> None:
    left = WORDS[:shared] + WORDS[20 : 20 + own]
    right = WORDS[:shared] + WORDS[40 : 40 + own]
    first, second = embedded([" ".join(left), " ".join(reversed(right))])["float"]

    assert dot(first, second) == pytest.approx(shared / (shared + own), abs=0.13)


@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4), dimension=st.sampled_from([256, 1024]))
@settings(deadline=None, max_examples=40)
def test_every_type_says_the_same_vector(texts: list[str], dimension: int) -> None:
    made = embedded(texts, embedding_types=ALL_TYPES, output_dimension=dimension)

    assert set(made) == set(ALL_TYPES)
    for floats, text, signed, unsigned, bits in zip(
        made["float"], made["base64"], made["int8"], made["uint8"], made["ubinary"], strict=True
    ):
        raw = base64.b64decode(text, validate=True)
        assert list(struct.unpack(f"<{dimension}f", raw)) == floats
        assert math.hypot(*floats) == pytest.approx(1, abs=1e-5)
        assert all(-128 <= value <= 127 for value in signed)
        assert [value + 128 for value in signed] == unsigned
        unpacked = [byte >> (7 - place) & 1 for byte in bits for place in range(8)]
        assert unpacked == [int(value > 0) for value in floats]


def test_a_smaller_dimension_is_the_beginning_of_a_larger_one() -> None:
    (large,) = embedded(["a red house"], output_dimension=1024)["float"]
    (small,) = embedded(["a red house"], output_dimension=256)["float"]

    length = math.hypot(*large[:256])
    assert [value / length for value in large[:256]] == pytest.approx(small, abs=1e-6)


def test_an_answer_never_changes() -> None:
    assert embedded(["one", "two"]) == embedded(["one", "two"])


def test_an_image_is_embedded_by_its_bytes() -> None:
    body = {"model": "embed-v4.0", "input_type": "image", "images": [PNG_URI]}
    answer = embed.answer(body, "id")

    assert answer.body["embeddings"]["float"] == embed.answer(body, "id").body["embeddings"]["float"]
    assert answer.body["images"] == [{"width": 3, "height": 2, "format": "png", "bit_depth": 8}]
    assert answer.billed_units == {"input_tokens": 0, "image_tokens": 512}


@pytest.mark.parametrize(("truncate", "kept"), [("END", "one two"), ("START", " three four"), (None, "one two")])
def test_a_long_text_is_cut_where_asked(truncate: str | None, kept: str) -> None:
    body = {"model": "embed-v4.0", "input_type": "classification", "texts": ["one two three four"]}
    answer = embed.answer({**body, "max_tokens": 2, "truncate": truncate}, "id")

    assert answer.body["texts"] == [kept]
    assert answer.billed_units["input_tokens"] == 2


def test_a_long_text_is_refused_if_it_must_not_be_cut() -> None:
    body = {"model": "embed-english-v3.0", "input_type": "classification", "texts": ["word " * 600]}
    with pytest.raises(CohereError, match="too many tokens"):
        embed.answer({**body, "truncate": "NONE"}, "id")


@pytest.mark.parametrize(
    ("model", "units"),
    [
        ("embed-english-v3.0", {"input_tokens": 2}),
        ("embed-v4.0", {"input_tokens": 2, "image_tokens": 0}),
        ("embed-v5.0-pro", {"text_tokens": 2, "image_tokens": 0}),
    ],
)
def test_each_generation_bills_in_its_own_units(model: str, units: dict[str, int]) -> None:
    body = {"model": model, "input_type": "classification", "texts": ["two words"]}
    assert embed.answer(body, "id").billed_units == units


documents_strategy = st.lists(
    st.lists(st.sampled_from(WORDS[:8]), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=8
)


@given(documents=documents_strategy, top_n=st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_rerank_orders_as_the_embeddings_do(documents: list[str], top_n: int) -> None:
    query = " ".join(WORDS[:3])
    body = {"model": "rerank-v3.5", "query": query, "documents": documents, "top_n": top_n}
    results = rerank.answer(body, "id").body["results"]
    asked, *rows = embedded([query, *documents], output_dimension=rerank.DIMENSION)["float"]
    cosines = [dot(asked, row) for row in rows]

    assert len(results) == min(top_n, len(documents))
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    ranked = [cosines[result["index"]] for result in results]
    best = sorted(cosines, reverse=True)[:top_n]
    assert ranked == pytest.approx(best, abs=1e-5)


def test_search_units_count_hundreds_of_chunks() -> None:
    def units(documents: list[str]) -> int:
        body = {"model": "rerank-v3.5", "query": "q", "documents": documents}
        return rerank.answer(body, "id").billed_units["search_units"]

    assert [units(["d"] * 100), units(["d"] * 101), units([" d" * 501] + ["d"] * 98)] == [1, 2, 1]
    assert units([" d" * 501] + ["d"] * 99) == 2


def test_a_span_is_a_sentence_above_the_threshold() -> None:
    document = "Ganz anders: fünf °C. The blue sky. Nothing."
    options = {"mode": "enabled", "threshold": 0.5, "max_spans": 1}
    body = {"model": "rerank-v5.0-fast", "query": "blue sky", "documents": [document], "relevant_spans": options}
    (result,) = rerank.answer(body, "id").body["results"]

    (span,) = result["relevant_spans"]
    assert document[span["start"] : span["end"]] == "The blue sky."
    assert span["score"] >= 0.5


def test_features_of_common_words_weigh_less() -> None:
    features = vectors.text_features("the houses, the house")
    assert features == {b"the": 2, b"house": 8}
