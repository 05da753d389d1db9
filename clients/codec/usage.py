"""Usage and meta, the parts every answer has: how much was billed, and warnings."""

from typing import Final

from clients.codec.filling import FLAG, NUMBER, TEXT, Table, texts

_BILLED_UNITS: Final[Table] = {
    "input_tokens": NUMBER,
    "output_tokens": NUMBER,
    "search_units": NUMBER,
    "classifications": NUMBER,
    "images": NUMBER,
    "image_tokens": NUMBER,
    "text_tokens": NUMBER,
    "pages": NUMBER,
}
_TOKENS: Final[Table] = {
    "input_tokens": NUMBER,
    "output_tokens": NUMBER,
    "image_tokens": NUMBER,
    "reasoning_tokens": NUMBER,
}

USAGE: Final[Table] = {"billed_units": _BILLED_UNITS, "tokens": _TOKENS, "cached_tokens": NUMBER}
"""`Usage`, of chats."""

META: Final[Table] = {
    "api_version": {"version": TEXT, "is_deprecated": FLAG, "is_experimental": FLAG},
    "billed_units": _BILLED_UNITS,
    "tokens": _TOKENS,
    "cached_tokens": NUMBER,
    "warnings": texts("warnings"),
}
"""`ApiMeta`, of embeddings and rankings."""
