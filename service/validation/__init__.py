"""Checks a request against Cohere's bounds, all violations at once. Pure: nothing is changed or fetched.

Only what is documented to fail, what could cost more than its terms say, or what could not be put into
JSON faithfully is refused; everything else is Cohere's to judge.
"""

from service.validation.chat import violations_of_chat
from service.validation.embed import violations_of_embed
from service.validation.input_size import input_bytes
from service.validation.rerank import violations_of_rerank
from service.validation.violation import VIOLATIONS_MAX, Violation, ViolationReason

__all__ = [
    "VIOLATIONS_MAX",
    "Violation",
    "ViolationReason",
    "input_bytes",
    "violations_of_chat",
    "violations_of_embed",
    "violations_of_rerank",
]
