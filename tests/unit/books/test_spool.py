"""Sorting and summing more than memory should hold."""

from hypothesis import given
from hypothesis import strategies as st

from service.books.spool import Spool, Tally

rows = st.lists(st.tuples(st.text(max_size=3), st.integers(), st.binary(max_size=3)))
entries = st.lists(st.tuples(st.sampled_from("abcde"), st.tuples(st.integers(), st.integers())))


@given(rows, st.integers(1, 7))
def test_rows_come_back_in_order_however_few_fit_into_memory(taken: list[tuple[str, int, bytes]], at_once: int) -> None:
    with Spool(at_once) as spool:
        for row in taken:
            spool.add(row)

        assert list(spool.sorted()) == sorted(taken)


@given(entries, st.integers(1, 3))
def test_sums_are_right_however_few_keys_fit_into_memory(
    taken: list[tuple[str, tuple[int, int]]], at_once: int
) -> None:
    wanted: dict[str, tuple[int, int]] = {}
    for key, (one, two) in taken:
        before = wanted.get(key, (0, 0))
        wanted[key] = before[0] + one, before[1] + two
    with Tally(at_once) as tally:
        for key, measures in taken:
            tally.add((key,), measures)

        assert [(key, sums) for (key,), sums in tally.sums()] == sorted(wanted.items())
