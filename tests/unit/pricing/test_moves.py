"""A price that moves far needs a confirmation, and a confirmation is good for one move only."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing import PriceBook, check_moves, load
from service.pricing.moves import FACTOR_MAX
from tests.unit.pricing.books import EMBED, RERANK, book

PLACE = "models.embedder.usd_per_million_input_tokens"


def embedder(usd: str, moved_from: str | None = None) -> PriceBook:
    confirmation = f"[models.embedder.moved_from]\nusd_per_million_input_tokens = {moved_from}" if moved_from else ""
    return book(EMBED.replace("0.10", usd) + confirmation)


@pytest.mark.parametrize(
    ("old", "new", "moves"),
    [
        ("0.10", "0.10", False),
        ("0.10", "0.50", False),
        ("0.10", "0.500001", True),
        ("0.10", "0.02", False),
        ("0.10", "0.019999", True),
        ("0.10", "100", True),
        ("0.10", "0", True),
        ("0", "0.000001", True),
        ("0", "0", False),
    ],
)
def test_more_than_five_times_up_or_down_or_to_or_from_zero_is_far(old: str, new: str, *, moves: bool) -> None:
    assert bool(check_moves(embedder(old), embedder(new))) == moves


def test_a_far_move_is_told_with_what_would_confirm_it() -> None:
    (problem,) = check_moves(embedder("0.10"), embedder("100"))

    assert problem == (
        f"{PLACE}: moves from 0.10 to 100.00, by more than 5 times; if this is meant, "
        'add [models."embedder".moved_from] usd_per_million_input_tokens = 0.10'
    )


@pytest.mark.parametrize(("moved_from", "good"), [("0.10", True), ("0.1", True), ("0.11", False), ("100", False)])
def test_a_confirmation_names_the_old_price_exactly(moved_from: str, *, good: bool) -> None:
    assert bool(check_moves(embedder("0.10"), embedder("100", moved_from))) != good


def test_a_confirmation_that_stays_in_the_file_lets_nothing_else_pass() -> None:
    first = embedder("100", "0.10")

    assert check_moves(embedder("0.10"), first) == []
    assert check_moves(first, embedder("100", "0.10")) == []
    assert check_moves(first, embedder("1000", "0.10")) != []
    assert check_moves(first, embedder("0.10", "0.10")) != []
    assert check_moves(PriceBook.parse(first.body), embedder("0.10", "100")) == []


def test_a_confirmation_goes_with_the_price_that_an_override_replaces() -> None:
    shipped = EMBED + "[models.embedder.moved_from]\nusd_per_million_input_tokens = 100"
    same, other = "[models.embedder]", "[models.embedder]\nusd_per_million_input_tokens = 0.2"

    assert book(same, base=shipped).confirmed_from("embedder") == {"input_tokens": 100_000_000}
    assert book(other, base=shipped).confirmed_from("embedder") == {}


def test_another_unit_is_a_move() -> None:
    by_token = RERANK.replace("usd_per_thousand_search_units = 2", "usd_per_million_input_tokens = 0.05")
    confirmation = "[models.reranker.moved_from]\nusd_per_thousand_search_units = 2"
    (problem,) = check_moves(book(RERANK), book(by_token))

    assert problem == (
        "models.reranker.usd_per_thousand_search_units: is 2.00 no longer, and in another unit; if this is meant, "
        'add [models."reranker".moved_from] usd_per_thousand_search_units = 2.00'
    )
    assert check_moves(book(RERANK), book(by_token + confirmation)) == []


def test_one_more_unit_is_none() -> None:
    assert check_moves(book(EMBED), book(EMBED + "usd_per_million_image_tokens = 0.47")) == []
    assert check_moves(book(EMBED + "usd_per_million_image_tokens = 0.47"), book(EMBED)) != []


def test_new_models_and_models_without_a_price_do_not_move() -> None:
    unpriced = EMBED.partition("usd_")[0]

    assert check_moves(None, book(EMBED)) == []
    assert check_moves(book(RERANK), book(EMBED)) == []
    assert check_moves(book(unpriced), book(EMBED)) == []
    assert check_moves(book(EMBED), book(unpriced)) == []
    assert check_moves(load(), load()) == []


def test_every_far_move_is_told() -> None:
    before = book(EMBED + RERANK)
    after = book(EMBED.replace("0.10", "10") + RERANK.replace("units = 2", "units = 20"))

    assert [problem.partition(":")[0] for problem in check_moves(before, after)] == [
        PLACE,
        "models.reranker.usd_per_thousand_search_units",
    ]


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_far_is_a_ratio_above_five(old_micros: int, new_micros: int) -> None:
    lower, higher = sorted([old_micros, new_micros])
    far = higher != lower and (lower == 0 or Fraction(higher, lower) > FACTOR_MAX)
    old, new = (f"{micros // 10**6}.{micros % 10**6:06}" for micros in (old_micros, new_micros))

    assert bool(check_moves(embedder(old), embedder(new))) == far
