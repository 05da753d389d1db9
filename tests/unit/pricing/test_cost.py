"""What billed units cost, exactly; and when their cost is unknown."""

import math
from fractions import Fraction
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.codec import chat
from clients.sandbox.content_faults import body_with
from clients.sandbox.faults import Fault
from cohort.v1.chat_pb2 import ChatResponse
from cohort.v1.usage_pb2 import BilledUnits
from service.pricing import ModelPrice, cost_nanos, load
from service.pricing.cost import UNITS_MAX
from service.pricing.model_price import UNITS

COUNTS = st.integers(0, UNITS_MAX)
CHAT = ModelPrice("chatty", "chat", {"input_tokens": 37_500, "output_tokens": 150_000}, 1_000, 100)
EMBED_4 = ModelPrice("embedder", "embed", {"input_tokens": 120_000, "image_tokens": 470_000})
EMBED_3 = ModelPrice("embedder", "embed", {"input_tokens": 100_000, "images": 10**8})
EMBED_5 = ModelPrice("embedder", "embed", {"input_tokens": 80_000})
RERANK_4 = ModelPrice("reranker", "rerank", {"search_units": 2 * 10**9}, 32_768)
RERANK_5 = ModelPrice("reranker", "rerank", {"input_tokens": 20_000}, 32_768)


def cost(price: ModelPrice, **units: float) -> int | None:
    return cost_nanos(price, BilledUnits(**units))


@given(st.sampled_from([CHAT, EMBED_4, EMBED_3, EMBED_5, RERANK_4, RERANK_5]), st.data())
def test_a_cost_is_the_exact_sum_rounded_up_once(price: ModelPrice, data: st.DataObject) -> None:
    units = data.draw(st.fixed_dictionaries(dict.fromkeys(price.picos_per_unit, COUNTS)))
    exact = sum((Fraction(count * price.picos_per_unit[unit], 1_000) for unit, count in units.items()), Fraction(0))
    found = cost(price, **units)

    assert type(found) is int
    assert found == math.ceil(exact)


def test_the_largest_cost_fits_into_64_bits() -> None:
    highest = {unit.name: unit.usd_max * 10**12 // unit.count for unit in UNITS}
    embed = ModelPrice("m", "embed", {name: highest[name] for name in ("input_tokens", "images")})
    found = [
        cost(ModelPrice("m", "rerank", {"search_units": highest["search_units"]}), search_units=UNITS_MAX),
        cost(embed, input_tokens=UNITS_MAX, images=UNITS_MAX),
        cost(ModelPrice("m", "chat", highest), input_tokens=UNITS_MAX, output_tokens=UNITS_MAX),
    ]

    assert all(nanos is not None and nanos < 2**63 for nanos in found)


@pytest.mark.parametrize(("tokens", "nanos"), [(0, 0), (1, 38), (2, 75), (3, 113), (26, 975), (27, 1_013)])
def test_half_a_nano_is_rounded_up(tokens: int, nanos: int) -> None:
    assert cost(CHAT, input_tokens=tokens, output_tokens=0) == nanos


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -1, -0.5, 0.5, 1.5, UNITS_MAX + 1, 1e300])
@pytest.mark.parametrize("unit", ["input_tokens", "output_tokens", "classifications"])
def test_a_count_that_is_none_leaves_the_cost_unknown(unit: str, wrong: float) -> None:
    assert cost(CHAT, **{"input_tokens": 1, "output_tokens": 1, unit: wrong}) is None


@pytest.mark.parametrize(
    ("price", "units"),
    [
        (CHAT, {}),
        (CHAT, {"input_tokens": 5}),
        (CHAT, {"output_tokens": 5}),
        (EMBED_4, {}),
        (EMBED_5, {"image_tokens": 0}),
        (RERANK_4, {"input_tokens": 0}),
        (RERANK_5, {"search_units": 0}),
    ],
)
def test_what_is_not_reported_is_not_free(price: ModelPrice, units: dict[str, float]) -> None:
    assert cost(price, **units) is None


@pytest.mark.parametrize("unit", ["search_units", "classifications", "images", "pages"])
def test_a_unit_without_a_price_must_be_zero(unit: str) -> None:
    assert cost(CHAT, **{"input_tokens": 2, "output_tokens": 0, unit: 0}) == 75
    assert cost(CHAT, **{"input_tokens": 2, "output_tokens": 0, unit: 1}) is None


@pytest.mark.parametrize(
    ("price", "units", "nanos"),
    [
        # One thing under two names.
        (EMBED_5, {"text_tokens": 10}, 800),
        (EMBED_5, {"text_tokens": 10, "input_tokens": 10}, 800),
        (EMBED_5, {"text_tokens": 10, "input_tokens": 0}, 800),
        (EMBED_5, {"text_tokens": 0, "input_tokens": 10}, 800),
        (EMBED_5, {"text_tokens": 10, "input_tokens": 11}, None),
        (RERANK_5, {"text_tokens": 100}, 2_000),
        (CHAT, {"text_tokens": 2, "output_tokens": 0}, 75),
        # Texts and images, apart or with their sum.
        (EMBED_4, {"input_tokens": 10, "image_tokens": 0}, 1_200),
        (EMBED_4, {"input_tokens": 10, "image_tokens": 100}, 48_200),
        (EMBED_4, {"text_tokens": 10, "image_tokens": 100}, 48_200),
        (EMBED_4, {"text_tokens": 10, "input_tokens": 10, "image_tokens": 100}, 48_200),
        (EMBED_4, {"text_tokens": 10, "input_tokens": 110, "image_tokens": 100}, 48_200),
        (EMBED_4, {"text_tokens": 0, "input_tokens": 100, "image_tokens": 100}, 47_000),
        (EMBED_4, {"text_tokens": 10, "input_tokens": 109, "image_tokens": 100}, None),
        (EMBED_5, {"text_tokens": 10, "image_tokens": 100}, None),
        # The same images, counted as pieces and as tokens.
        (EMBED_3, {"images": 2}, 200_000),
        (EMBED_3, {"images": 2, "image_tokens": 512}, 200_000),
        (EMBED_3, {"images": 0, "image_tokens": 512}, None),
        (EMBED_4, {"input_tokens": 0, "image_tokens": 100, "images": 1}, 47_000),
        (EMBED_4, {"input_tokens": 0, "image_tokens": 0, "images": 1}, None),
        # Of a chat they are part of the input.
        (CHAT, {"input_tokens": 266, "output_tokens": 0, "image_tokens": 260}, 9_975),
        (CHAT, {"input_tokens": 266, "output_tokens": 0, "image_tokens": 260, "text_tokens": 6}, 9_975),
        (CHAT, {"input_tokens": 266, "output_tokens": 0, "image_tokens": 267}, None),
        (CHAT, {"text_tokens": 6, "output_tokens": 0, "image_tokens": 260}, None),
        (CHAT, {"input_tokens": 266, "output_tokens": 0, "text_tokens": 6}, None),
    ],
)
def test_nothing_is_billed_under_two_names(price: ModelPrice, units: dict[str, float], nanos: int | None) -> None:
    assert cost(price, **units) == nanos


@given(st.sampled_from([CHAT, EMBED_4, EMBED_3, EMBED_5, RERANK_4, RERANK_5]), st.data())
def test_whatever_is_reported_the_cost_is_whole_and_covers_every_priced_unit_or_is_unknown(
    price: ModelPrice, data: st.DataObject
) -> None:
    names = list(BilledUnits.DESCRIPTOR.fields_by_name)
    units = data.draw(st.dictionaries(st.sampled_from(names), st.sampled_from([0, 1, 2, 3, 5, 1_000]) | st.floats()))
    found = cost(price, **units)
    if found is None:
        return

    assert type(found) is int
    for unit, picos in price.picos_per_unit.items():
        if unit != "input_tokens":
            assert found * 1_000 >= units.get(unit, 0) * picos
    least = units.get("text_tokens", units.get("input_tokens", 0))
    assert found * 1_000 >= least * price.picos_per_unit.get("input_tokens", 0)


@pytest.mark.parametrize("fault", ["missing", "null", "negative", "fractional", "huge"])
def test_usage_that_cohere_should_not_send_leaves_the_cost_unknown(fault: Any) -> None:
    body = {"usage": {"billed_units": {"input_tokens": 3, "output_tokens": 5}}}
    good, spoilt = ChatResponse(), ChatResponse()
    chat.decode(orjson.dumps(body), good)
    chat.decode(orjson.dumps(body_with(Fault(usage=fault), body)), spoilt)

    assert cost_nanos(CHAT, good.usage.billed_units) == 863
    assert cost_nanos(CHAT, spoilt.usage.billed_units) is None


def test_the_shipped_book_prices_a_call() -> None:
    price = load().price_of("command-a-03-2025")

    assert price is not None
    assert cost(price, input_tokens=1_000, output_tokens=100) == 3_500_000
