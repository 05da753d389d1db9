"""A deterministic stand-in for Cohere's tokenizer.

A piece is at most eight characters of a word, or one other character, with the whitespace before it.
Like a byte-level BPE it never makes more tokens than the text has UTF-8 bytes, and its pieces join to the text.
"""

import re
import zlib

_PIECE = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s")
_VOCABULARY = 255_000


def pieces_of(text: str) -> list[str]:
    """The text's tokens as strings; joined they are the text."""
    return _PIECE.findall(text)


def count(text: str) -> int:
    """The number of tokens of *text*."""
    return len(_PIECE.findall(text))


def truncated(text: str, tokens_max: int, *, keep_end: bool = False) -> str:
    """The first (or last) *tokens_max* tokens of *text*."""
    pieces = pieces_of(text)
    if len(pieces) <= tokens_max:
        return text
    return "".join(pieces[-tokens_max:] if keep_end else pieces[:tokens_max])


def logprob_item(piece: str) -> dict[str, object]:
    """What Cohere's `logprobs` says of one token; the figures follow from the piece alone."""
    checksum = zlib.crc32(piece.encode())
    return {"text": piece, "token_ids": [checksum % _VOCABULARY], "logprobs": [-(checksum % 4096) / 1024]}
