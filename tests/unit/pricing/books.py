"""Price books to test with."""

from clients.sandbox.prices import PRICES
from service.pricing import PriceBook, load
from service.pricing.model_price import UNIT_OF_NAME
from service.pricing.price_file import read

CHAT = """
[models.chatty]
endpoint = "chat"
context_tokens = 1_000
output_tokens_max = 100
usd_per_million_input_tokens = 2.50
usd_per_million_output_tokens = 10.00
"""
EMBED = """
[models.embedder]
endpoint = "embed"
usd_per_million_input_tokens = 0.10
"""
RERANK = """
[models.reranker]
endpoint = "rerank"
context_tokens = 4_096
usd_per_thousand_search_units = 2
"""
SYNONYMS = {"text_tokens": "input_tokens"}
"""Units of the sandbox that a price book has under another name."""


def book(text: str, *, base: str | None = None) -> PriceBook:
    """The book of a price file with this text and a version, over *base* if it is given."""
    base_text = None if base is None else f'version = "base"\n{base}'
    file = read(f'version = "v1"\n{text}', name="mine.toml", base=base_text)
    return PriceBook(file.label, file.prices, file.moved_from)


def priced_as_the_sandbox() -> PriceBook:
    """The shipped book, with the sandbox's prices for all that it prices."""
    shipped = load().body
    lines = ['version = "sandbox"']
    for model, prices in PRICES.items():
        lines.append(f'[models."{model}"]')
        for name, picos in prices.items():
            unit = UNIT_OF_NAME[SYNONYMS.get(name, name)]
            lines.append(f"{unit.key} = {unit.usd(picos)}")
    file = read("\n".join(lines), name="sandbox.toml", base=shipped)
    return PriceBook(file.label, file.prices)
