"""Rules for single values: numbers, words, names, JSON text. Each factory returns a `Rule`."""

import math
import re
from collections.abc import Sequence

from clients.codec.json_text import problem_of
from service.validation.rules import Rule
from service.validation.violation import Findings, ViolationReason

MODEL_CHARS_MAX = 200
WORD_CHARS_MAX = 64
TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def whole(low: int, high: int | None = None) -> Rule:
    """A whole number of at least *low* and, if given, at most *high*."""
    bounds = f"must be at least {low}" if high is None else f"must be from {low} to {high}"

    def rule(findings: Findings, field: str, value: int) -> None:
        if value < low or (high is not None and value > high):
            findings.add(field, ViolationReason.OUT_OF_RANGE, f"{bounds}; is {value}")

    return rule


def real(low: float, high: float) -> Rule:
    """A finite number from *low* to *high*."""
    bounds = f"must be from {low:g} to {high:g}"

    def rule(findings: Findings, field: str, value: float) -> None:
        # Written so that NaN, which compares false with everything, falls through.
        if not low <= value <= high:
            finite = math.isfinite(value)
            reason = ViolationReason.OUT_OF_RANGE if finite else ViolationReason.NOT_FINITE
            findings.add(field, reason, f"{bounds}; is {value:g}")

    return rule


def one_of(*words: str) -> Rule:
    """One of *words*, exactly."""
    known = frozenset(words)
    bounds = f"must be one of {', '.join(words)}"

    def rule(findings: Findings, field: str, value: str) -> None:
        if value not in known:
            findings.add(field, ViolationReason.UNKNOWN_VALUE, f"{bounds}; has {len(value)} characters")

    return rule


def count(high: int) -> Rule:
    """At most *high* items."""

    def rule(findings: Findings, field: str, value: Sequence[object]) -> None:
        if len(value) > high:
            findings.add(field, ViolationReason.TOO_MANY, f"may hold {high} items; holds {len(value)}")

    return rule


def word(findings: Findings, field: str, value: str) -> None:
    """Checks a word of a list that Cohere may lengthen: only that it is short and printable."""
    _printable(findings, field, value, WORD_CHARS_MAX)


def model(findings: Findings, field: str, value: str) -> None:
    """Checks a model's name: what passes is compared byte by byte with the names a team may use."""
    _printable(findings, field, value, MODEL_CHARS_MAX)
    if value[0] == " " or value[-1] == " ":
        findings.add(field, ViolationReason.INVALID_CHARACTERS, "must not begin or end with a space")


def tool_name(findings: Findings, field: str, value: str) -> None:
    """Checks the name of a tool as Cohere's error page gives the rule."""
    if not TOOL_NAME.fullmatch(value):
        bounds = "must be letters A-Z and a-z, digits and _, and not begin with a digit"
        findings.add(field, ViolationReason.INVALID_CHARACTERS, f"{bounds}; has {len(value)} characters")


def json_object(findings: Findings, field: str, value: str) -> None:
    """Checks a text that is spliced into the JSON for Cohere as it stands."""
    problem = problem_of(value)
    if problem is not None:
        findings.add(field, ViolationReason.INVALID_JSON, problem)


def name(chars_max: int) -> Rule:
    """A short name that Cohort or its caller has made, such as an id."""

    def rule(findings: Findings, field: str, value: str) -> None:
        _printable(findings, field, value, chars_max)

    return rule


def line(chars_max: int) -> Rule:
    """One line of text for people, in any script."""

    def rule(findings: Findings, field: str, value: str) -> None:
        if len(value) > chars_max:
            findings.add(field, ViolationReason.TOO_LARGE, f"may have {chars_max} characters; has {len(value)}")
        if not value.isprintable():
            findings.add(field, ViolationReason.INVALID_CHARACTERS, "must be one line of printable characters")

    return rule


def _printable(findings: Findings, field: str, value: str, chars_max: int) -> None:
    if len(value) > chars_max:
        findings.add(field, ViolationReason.TOO_LARGE, f"may have {chars_max} characters; has {len(value)}")
    if not (value.isascii() and value.isprintable()):
        findings.add(field, ViolationReason.INVALID_CHARACTERS, "must be printable ASCII")
