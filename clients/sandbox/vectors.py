"""Vectors of hashed words: the cosine of two texts follows the words they share.

Each word stands for a fixed pseudo-random direction; a text is the weighted sum of its words' directions.
The sum runs on big integers of 32-bit lanes, which adds 2,048 numbers in one step of the interpreter.
"""

import hashlib
import math
import operator
import re
import sys
from array import array
from collections import Counter
from functools import lru_cache

DIMENSION_MAX = 2048
_LANE_BYTES = 4
_BYTE_MAX = 255
_WORD = re.compile(r"\w+")
_STEM_LETTERS_MIN = 4
_COMMON_WEIGHT, _WORD_WEIGHT = 1, 4
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "do",
        "does",
        "for",
        "from",
        "has",
        "have",
        "how",
        "i",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "of",
        "on",
        "or",
        "our",
        "should",
        "that",
        "the",
        "their",
        "these",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "you",
        "your",
    ]
)

Features = Counter[bytes]


def words_of(text: str) -> list[str]:
    """The words of *text* in one spelling: folded, and without a plural's s."""
    words = (word.casefold() for word in _WORD.findall(text))
    return [word[:-1] if word[-1] == "s" and len(word) >= _STEM_LETTERS_MIN else word for word in words]


def weight_of(word: str) -> int:
    """How much a word counts: the commonest English words say little about a text."""
    return _COMMON_WEIGHT if word in _COMMON else _WORD_WEIGHT


def text_features(text: str) -> Features:
    """The weighted words of *text*; a text without words is a feature of its own."""
    features: Features = Counter()
    for word, times in Counter(words_of(text)).items():
        features[word.encode()] = times * weight_of(word)
    if not features:
        features[b"text:" + text.encode()] = _WORD_WEIGHT
    return features


def image_features(data: bytes) -> Features:
    """An image is one feature, that of its bytes."""
    return Counter({b"image:" + hashlib.sha256(data).digest(): _WORD_WEIGHT * _WORD_WEIGHT})


def direction(features: Features, dimension: int) -> list[int]:
    """The sum of the features' directions, not normalised; a smaller dimension is a prefix of a larger one."""
    total = sum(_lanes_of(feature) * weight for feature, weight in features.items())
    weights = sum(features.values())
    lanes: array[int] = array("I")
    lanes.frombytes(total.to_bytes(DIMENSION_MAX * _LANE_BYTES, sys.byteorder)[: dimension * _LANE_BYTES])
    # A byte lies in 0..255: twice the byte less 255 is symmetric around zero.
    mean = _BYTE_MAX * weights
    return [2 * lane - mean for lane in lanes]


def unit(vector: list[int]) -> "array[float]":
    """The vector of length 1, as float32."""
    length = math.sqrt(sum(map(operator.mul, vector, vector)))
    return array("f", [value / length for value in vector])


def cosine(left: list[int], right: list[int]) -> float:
    """The cosine of two directions of one dimension."""
    squares: int = sum(map(operator.mul, left, left)) * sum(map(operator.mul, right, right))
    product: int = sum(map(operator.mul, left, right))
    return product / math.sqrt(squares)


@lru_cache(maxsize=1024)  # 8 KiB each
def _lanes_of(feature: bytes) -> int:
    digest = hashlib.shake_128(feature).digest(DIMENSION_MAX)
    return int.from_bytes(array("I", list(digest)).tobytes(), sys.byteorder)
