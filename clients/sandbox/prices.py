"""The sandbox's price list, in micro-USD per million billed units.

Cohere's list prices where they are published. The A+ and A Reasoning family has none: the sandbox takes
command-a's. One unit costs its price in pico-USD, so a bill is exact in integers until it is rounded up.
"""

MICROS_PER_USD = 1_000_000

_COMMAND = {"input_tokens": 2_500_000, "output_tokens": 10_000_000}
_COMMAND_R = {"input_tokens": 150_000, "output_tokens": 600_000}
_EMBED_V3 = {"input_tokens": 100_000, "images": 100 * MICROS_PER_USD}
_RERANK_V3 = {"search_units": 2_000 * MICROS_PER_USD}

PRICES: dict[str, dict[str, int]] = {
    "command-a-03-2025": _COMMAND,
    "command-a-plus-05-2026": _COMMAND,
    "command-a-reasoning-08-2025": _COMMAND,
    "command-a-translate-08-2025": _COMMAND,
    "command-a-vision-07-2025": _COMMAND,
    "command-r-plus-08-2024": _COMMAND,
    "command-r-08-2024": _COMMAND_R,
    "command-r7b-12-2024": {"input_tokens": 37_500, "output_tokens": 150_000},
    "north-mini-code-1-0": _COMMAND,
    "c4ai-aya-expanse-32b": {"input_tokens": 500_000, "output_tokens": 1_500_000},
    "embed-v5.0-pro": {"text_tokens": 120_000, "image_tokens": 470_000},
    "embed-v5.0-fast": {"text_tokens": 80_000, "image_tokens": 470_000},
    "embed-v4.0": {"input_tokens": 120_000, "image_tokens": 470_000},
    "embed-english-v3.0": _EMBED_V3,
    "embed-english-light-v3.0": _EMBED_V3,
    "embed-multilingual-v3.0": _EMBED_V3,
    "embed-multilingual-light-v3.0": _EMBED_V3,
    "rerank-v5.0-pro": {"input_tokens": 50_000},
    "rerank-v5.0-fast": {"input_tokens": 20_000},
    "rerank-v4.0-pro": {"search_units": 2_500 * MICROS_PER_USD},
    "rerank-v4.0-fast": _RERANK_V3,
    "rerank-v3.5": _RERANK_V3,
    "rerank-english-v3.0": _RERANK_V3,
    "rerank-multilingual-v3.0": _RERANK_V3,
}


def cost_nanos(model: str, billed_units: dict[str, int]) -> int:
    """What *billed_units* of *model* cost, in nano-USD, rounded up once."""
    prices = PRICES[model]
    picos = sum(units * prices[unit] for unit, units in billed_units.items())
    return -(-picos // 1000)
