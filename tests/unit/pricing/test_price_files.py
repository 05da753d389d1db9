"""What a price file may say, and that every mistake in it is told at once, where it is."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pricing import PriceBookError, load
from service.pricing.model_price import UNITS, Unit
from service.pricing.price_file import read
from tests.unit.pricing.books import CHAT, EMBED, RERANK, book

NAME = "a model's name is 1 to 200 printable ASCII characters"
UNITS_OF_EMBED = "embed needs a price for input_tokens, and may have one for image_tokens or for images"


def problems_in(text: str, *, base: str | None = None) -> list[str]:
    with pytest.raises(PriceBookError) as raised:
        book(text, base=base)
    assert all(problem.startswith("mine.toml: ") for problem in raised.value.problems)
    assert str(raised.value) == "\n".join(raised.value.problems)
    return [problem.removeprefix("mine.toml: ") for problem in raised.value.problems]


def with_input_price(value: str) -> str:
    return CHAT.replace("usd_per_million_input_tokens = 2.50", f"usd_per_million_input_tokens = {value}")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("-0.01", "must be from 0 to 1000 USD"),
        ("1000.01", "must be from 0 to 1000 USD"),
        ("1e999999999", "must be from 0 to 1000 USD"),
        ("nan", "must be from 0 to 1000 USD"),
        ("inf", "must be from 0 to 1000 USD"),
        ("-inf", "must be from 0 to 1000 USD"),
        ("0.0000001", "must be a multiple of 0.000001 USD"),
        ("0.3333333333333333333333333333333333333333333333333", "must be a multiple of 0.000001 USD"),
        ("1e-999999999", "must be a multiple of 0.000001 USD"),
        ("true", "must be a number"),
        ('"2.50"', "must be a number"),
        ("[2.50]", "must be a number"),
        ("2026-11-21", "must be a number"),
    ],
)
def test_a_price_that_is_no_price_is_refused(value: str, problem: str) -> None:
    assert problems_in(with_input_price(value)) == [f"models.chatty.usd_per_million_input_tokens: {problem}"]


@pytest.mark.parametrize(
    ("value", "picos"),
    [("0", 0), ("0.0", 0), ("-0.0", 0), ("1000", 10**9), ("2", 2 * 10**6), ("0.0375", 37_500), ("1e-6", 1)],
)
def test_a_price_is_kept_exactly(value: str, picos: int) -> None:
    price = book(with_input_price(value)).price_of("chatty")

    assert price is not None
    assert price.picos_per_unit["input_tokens"] == picos


@given(st.sampled_from(UNITS), st.decimals(0, 1_000, allow_nan=False, places=9))
def test_a_price_is_exact_or_refused(unit: Unit, usd: Decimal) -> None:
    exact = Fraction(usd) * 10**12 / unit.count
    kept = usd <= unit.usd_max and Fraction(usd) % Fraction(unit.usd_step) == 0
    try:
        picos = unit.picos(usd)
    except ValueError:
        assert not kept
    else:
        assert kept
        assert picos == exact
        assert Fraction(unit.usd(picos)) == Fraction(usd)
        assert Fraction(unit.nanos(picos), 10**9) == Fraction(usd)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prices = 1", ["prices: a price file has no such key"]),
        ("models = 7", ["models: must be a table of models"]),
        ("models.chatty = 7", ["models.chatty: must be a table"]),
        ("[models.chatty]", ["models.chatty.endpoint: must be one of chat, embed, rerank"]),
        ("[models.chatty]\nendpoint = ['chat']", ["models.chatty.endpoint: must be one of chat, embed, rerank"]),
        ("[models.chatty]\nendpoint = 'parse'", ["models.chatty.endpoint: must be one of chat, embed, rerank"]),
        (
            "[models.chatty]\nendpoint = 'chat'\ncontext_tokens = 1.5\nthinks = 1",
            [
                "models.chatty.context_tokens: must be a whole number from 1 to 100000000",
                "models.chatty.output_tokens_max: must be a whole number from 1 to 100000000",
                "models.chatty.thinks: must be true or false",
            ],
        ),
        (CHAT + "colour = 'red'", ["models.chatty.colour: a model of chat has no such key"]),
        (EMBED + "context_tokens = 512", ["models.embedder.context_tokens: a model of embed has no such key"]),
        (
            EMBED + "usd_per_page = 1",
            [f"models.embedder.usd_per_page: no such price; there are {', '.join(unit.key for unit in UNITS)}"],
        ),
        (EMBED + "usd_per_million_output_tokens = 1", ["models.embedder: embed is not billed by output_tokens"]),
        (
            EMBED + "usd_per_million_image_tokens = 1\nusd_per_image = 1",
            [f"models.embedder: {UNITS_OF_EMBED}"],
        ),
        (
            EMBED.replace("usd_per_million_input_tokens", "usd_per_image"),
            [f"models.embedder: {UNITS_OF_EMBED}"],
        ),
        (
            CHAT.replace("usd_per_million_output_tokens = 10.00", ""),
            ["models.chatty: chat needs a price for input_tokens and one for output_tokens"],
        ),
        (
            RERANK + "usd_per_million_input_tokens = 1",
            ["models.reranker: rerank needs a price for search_units or one for input_tokens"],
        ),
        (CHAT + "moved_from = 2.5", ["models.chatty.moved_from: must be a table of prices"]),
        (
            CHAT + "[models.chatty.moved_from]\nusd_per_million_input_tokens = -1",
            ["models.chatty.moved_from.usd_per_million_input_tokens: must be from 0 to 1000 USD"],
        ),
        (CHAT.replace("chatty", '" chatty"'), [f"models. chatty: {NAME}"]),
        (CHAT.replace("chatty", '""'), [f"models.: {NAME}"]),
        (CHAT.replace("chatty", '"ch\\u0430tty"'), [f"models.ch\u0430tty: {NAME}"]),
    ],
)
def test_a_mistake_is_told_with_its_path(text: str, found: Sequence[str]) -> None:
    assert problems_in(text) == found


def test_all_mistakes_are_told_at_once() -> None:
    wrong = with_input_price("-1").replace('endpoint = "chat"', 'endpoint = "chat"\nold = 1')

    assert problems_in(f"prices = 1\n{wrong}{EMBED}usd_per_image = 2\n{RERANK}thinks = true") == [
        "prices: a price file has no such key",
        "models.chatty.usd_per_million_input_tokens: must be from 0 to 1000 USD",
        "models.chatty.old: a model of chat has no such key",
        "models.embedder.usd_per_image: must be from 0 to 1 USD",
        "models.reranker.thinks: a model of rerank has no such key",
    ]


@pytest.mark.parametrize("label", ["", '""', '"a b"', "1", '"' + "x" * 41 + '"', '"-x"', '"v1\\n"'])
def test_a_version_is_a_short_word(label: str) -> None:
    with pytest.raises(PriceBookError, match=r"^mine: version: must be"):
        read((f"version = {label}\n" if label else "") + CHAT, name="mine")


@pytest.mark.parametrize("text", ["version = ", "a = " + "9" * 5_000, "a = " + "[" * 100_000, "a = 1\na = 2"])
def test_what_is_no_toml_is_told_so(text: str) -> None:
    with pytest.raises(PriceBookError, match=r"^mine: not TOML: "):
        read(text, name="mine")


def test_an_override_replaces_what_it_names_and_adds_what_is_new() -> None:
    base = CHAT + EMBED
    changed = book("[models.chatty]\ncontext_tokens = 2_000" + RERANK, base=base)

    assert changed.body == book(CHAT.replace("1_000", "2_000") + EMBED + RERANK).body


def test_prices_are_replaced_together() -> None:
    changed = book("[models.reranker]\nusd_per_million_input_tokens = 0.05", base=RERANK)
    price = changed.price_of("reranker")

    assert price is not None
    assert price.picos_per_unit == {"input_tokens": 50_000}
    assert price.context_tokens == 4_096


def test_half_of_a_price_does_not_replace_all_of_it() -> None:
    half = "[models.chatty]\nusd_per_million_input_tokens = 1"

    assert problems_in(half, base=CHAT) == [
        "models.chatty: chat needs a price for input_tokens and one for output_tokens"
    ]


def test_a_model_without_a_price_needs_nothing_but_one() -> None:
    unpriced = CHAT[: CHAT.index("usd_")]
    prices = CHAT[CHAT.index("usd_") :]

    assert book(unpriced).price_of("chatty") is None
    assert book(f"[models.chatty]\n{prices}", base=unpriced).price_of("chatty") == book(CHAT).price_of("chatty")


def test_a_file_that_cannot_be_read_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(PriceBookError, match=r"nowhere.toml: No such file or directory$"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'version = "\xe9"')
    with pytest.raises(PriceBookError, match=r"latin.toml: not UTF-8$"):
        load(tmp_path / "latin.toml")
    (tmp_path / "wrong.toml").write_text('version = "mine"\nmodels.x = 1')
    with pytest.raises(PriceBookError, match=r"wrong.toml: models.x: must be a table$"):
        load(tmp_path / "wrong.toml")
