import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sse import EventParser, EventTooLarge

payloads = st.lists(
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1), max_size=8
)


def fed(stream: bytes, cuts: list[int], event_bytes_max: int = 1 << 20) -> list[bytes]:
    parser = EventParser(event_bytes_max)
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [data for start, end in itertools.pairwise(edges) for data in parser.feed(stream[start:end])]


@given(payloads, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(min_value=0), max_size=40))
def test_payloads_survive_every_line_end_and_every_cut(texts: list[str], line_end: str, cuts: list[int]) -> None:
    stream = "".join(f"event: x{line_end}data: {text}{line_end}{line_end}" for text in texts).encode()

    assert fed(stream, cuts) == [text.encode() for text in texts]


@given(payloads, st.lists(st.integers(min_value=0), max_size=20))
def test_comments_and_other_fields_are_passed_over(texts: list[str], cuts: list[int]) -> None:
    told = [text.lstrip(" ") for text in texts]
    stream = "".join(f": ping\nid: 7\nretry: 9\ndata:{text}\n\n:\n\n" for text in told).encode()

    assert fed(stream, cuts) == [text.encode() for text in told if text]  # an event without data is none


def test_several_data_lines_are_one_payload() -> None:
    assert fed(b"data: {\ndata: }\n\n", []) == [b"{\n}"]


def test_an_event_without_its_empty_line_is_not_delivered() -> None:
    assert fed(b"data: 1\n\ndata: 2\n", []) == [b"1"]


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 200, b"data: xxxxxxxxxxxx\n" * 20], ids=["one line", "many lines"]
)
def test_an_event_above_the_bound_is_refused(stream: bytes) -> None:
    with pytest.raises(EventTooLarge):
        fed(stream, [], event_bytes_max=100)


def test_one_chunk_may_hold_more_than_one_event_may() -> None:
    assert len(fed(b"data: 12345678\n\n" * 100, [], event_bytes_max=32)) == 100


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2, 3, 4]])
def test_a_byte_order_mark_is_no_part_of_the_first_event(cuts: list[int]) -> None:
    assert fed(b"\xef\xbb\xbfdata: 1\n\n", cuts) == [b"1"]


def test_an_event_without_data_is_passed_over() -> None:
    assert fed(b"data\n\ndata:\n\ndata: \n\ndata: 1\n\n", []) == [b"1"]
