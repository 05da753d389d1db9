"""The book as one version: what it says, and that it can be written down and read back."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.sandbox.models import MODELS
from clients.sandbox.prices import PRICES
from service.policy import Endpoint
from service.pricing import ModelPrice, PriceBook, PriceBookError, check_moves, load
from service.pricing.model_price import UNITS
from service.pricing.price_file import PriceFile, read
from tests.unit.pricing.books import CHAT, RERANK, SYNONYMS, book, priced_as_the_sandbox

UNPUBLISHED = {
    "command-a-plus-05-2026", "command-a-reasoning-08-2025", "command-a-vision-07-2025",
    "command-a-translate-08-2025", "north-mini-code-1-0",
}  # fmt: skip
NAMES = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
TOKENS = st.integers(1, 10**8)
MICROS = st.integers(0, 10**9)
STEPS_OF_SEARCH = st.integers(0, 10**12)


def prices_of(endpoint: Endpoint) -> st.SearchStrategy[dict[str, int]]:
    chat = st.fixed_dictionaries({"input_tokens": MICROS, "output_tokens": MICROS})
    embed = st.fixed_dictionaries({"input_tokens": MICROS}, optional={"image_tokens": MICROS})
    by_search = st.fixed_dictionaries({"search_units": STEPS_OF_SEARCH})
    rerank = by_search | st.fixed_dictionaries({"input_tokens": MICROS})
    return st.just({}) | {"chat": chat, "embed": embed, "rerank": rerank}[endpoint]


CHATS = st.builds(ModelPrice, NAMES, st.just("chat"), prices_of("chat"), TOKENS, TOKENS, st.booleans())
EMBEDS = st.builds(ModelPrice, NAMES, st.just("embed"), prices_of("embed"))
RERANKS = st.builds(ModelPrice, NAMES, st.just("rerank"), prices_of("rerank"), TOKENS)
PRICE_LISTS = st.lists(CHATS | EMBEDS | RERANKS, max_size=6, unique_by=lambda price: price.model)
LABELS = st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}", fullmatch=True)


@given(LABELS, PRICE_LISTS)
def test_a_book_reads_back_what_it_wrote(label: str, prices: list[ModelPrice]) -> None:
    written = PriceBook(label, prices)
    read = PriceBook.parse(written.body)

    assert (read.body, read.version) == (written.body, written.version)
    assert all(read.price_of(price.model) == (price if price.picos_per_unit else None) for price in prices)
    assert [price.model for price in read.priced()] == sorted(p.model for p in prices if p.picos_per_unit)
    assert PriceBook(label, reversed(prices)).version == written.version


@given(LABELS, PRICE_LISTS.filter(bool), st.data())
def test_any_change_is_another_version(label: str, prices: list[ModelPrice], data: st.DataObject) -> None:
    before = PriceBook(label, prices)
    place = data.draw(st.integers(0, len(prices) - 1))
    price = prices[place]
    changed = data.draw(prices_of(price.endpoint).filter(lambda picos: picos != price.picos_per_unit))
    after = PriceBook(label, [*prices[:place], replace(price, picos_per_unit=changed), *prices[place + 1 :]])

    assert re.fullmatch(re.escape(label) + r"\.[0-9a-f]{8}", before.version)
    assert before.version != after.version
    assert before.version != PriceBook(label, prices[1:]).version
    assert before.version.removeprefix(label) != PriceBook(label + "x", prices).version.removeprefix(label + "x")


def test_a_body_is_a_price_file_with_everything_in_its_place() -> None:
    assert book(RERANK + CHAT).body == (
        'version = "v1"\n'
        "\n"
        '[models."chatty"]\n'
        'endpoint = "chat"\n'
        "context_tokens = 1000\n"
        "output_tokens_max = 100\n"
        "usd_per_million_input_tokens = 2.50\n"
        "usd_per_million_output_tokens = 10.00\n"
        "\n"
        '[models."reranker"]\n'
        'endpoint = "rerank"\n'
        "context_tokens = 4096\n"
        "usd_per_thousand_search_units = 2.00\n"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.50", "2.5"),
        ("2.50", "-2.50"),
        ("1000", "1_000"),
        ("\n\n", "\n"),
        ('"chat"', '"talk"'),
        ("", "#"),
        ("v1", ""),
    ],
)
def test_a_body_that_was_changed_is_not_read(old: str, new: str) -> None:
    with pytest.raises(PriceBookError, match=r"^price book: "):
        PriceBook.parse(book(CHAT).body.replace(old, new, 1))


def test_a_confirmation_is_no_part_of_the_content() -> None:
    confirmed = book(CHAT + "[models.chatty.moved_from]\nusd_per_million_input_tokens = 50")

    assert confirmed.version == book(CHAT).version
    assert confirmed.confirmed_from("chatty") == {"input_tokens": 50_000_000}
    assert PriceBook.parse(confirmed.body).confirmed_from("chatty") == {}


def test_the_version_of_an_override_names_the_whole(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f'version = "acme-7"\n{CHAT}')
    overridden = load(tmp_path / "mine.toml")

    assert overridden.version.startswith("acme-7.")
    assert {price.model for price in overridden.priced()} == {"chatty", *(price.model for price in load().priced())}


def test_the_shipped_book_knows_every_model_and_prices_those_with_a_published_price() -> None:
    shipped = load()

    assert {price.model for price in shipped.priced()} == set(MODELS) - UNPUBLISHED
    assert PriceBook.parse(shipped.body).version == shipped.version
    for model in UNPUBLISHED:
        assert f'[models."{model}"]' in shipped.body


def test_the_shipped_prices_are_those_that_the_sandbox_bills() -> None:
    for price in load().priced():
        sandbox = {SYNONYMS.get(unit, unit): picos for unit, picos in PRICES[price.model].items()}
        if price.model.startswith("embed-v5.0"):
            del sandbox["image_tokens"]  # the sandbox takes those of version 4; none are published

        assert price.picos_per_unit == sandbox
        assert price.endpoint == MODELS[price.model].endpoint


def test_what_bounds_a_call_is_never_below_what_the_sandbox_takes() -> None:
    prices = priced_as_the_sandbox()
    for name, model in MODELS.items():
        price = prices.price_of(name)

        assert price is not None
        assert price.thinks == model.reasoning
        assert price.output_tokens_max >= model.output_tokens_max
        assert price.context_tokens >= model.context_tokens or model.endpoint == "embed"


def test_the_price_of_a_model_is_asked_for_where_it_is_missing() -> None:
    shipped = load()

    assert shipped.how_to_price("command-a-plus-05-2026") == (
        "no price of the model is published; operators can add what they pay to the file that books.prices names: "
        '[models."command-a-plus-05-2026"] with usd_per_million_input_tokens and usd_per_million_output_tokens'
    )
    assert shipped.how_to_price("mine") == (
        f"the price book {shipped.version} does not know the model; operators can add it to the file that books.prices "
        'names, as [models."mine"] with endpoint, bounds and prices'
    )


def test_the_examples_of_the_docs_are_price_files_that_may_follow_the_shipped_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "decisions" / "0005-prices.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    shipped = load()
    books = [
        _book(read(block if "version" in block else f'version = "v2"\n{block}', name="docs", base=shipped.body))
        for block in blocks
    ]

    assert [len(each.priced()) - len(shipped.priced()) for each in books] == [2, 0]
    assert [check_moves(shipped, each) for each in books] == [[], []]


def _book(file: PriceFile) -> PriceBook:
    return PriceBook(file.label, file.prices, file.moved_from)


def test_units_are_told_as_they_are_quoted() -> None:
    picos = {"input_tokens": 2_500_000, "search_units": 2 * 10**9, "images": 10**8}
    quoted = {unit.name: (unit.count, unit.nanos(picos[unit.name])) for unit in UNITS if unit.name in picos}

    assert quoted == {
        "input_tokens": (1_000_000, 2_500_000_000),
        "search_units": (1_000, 2_000_000_000),
        "images": (1, 100_000),
    }
