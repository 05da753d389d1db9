"""What access keys and service accounts are alike in: whose they are, and what they may do."""

import re
from collections.abc import Sequence
from typing import get_args

from service.config.limits import RATE_MAX
from service.config.values import Scope
from service.validation.rules import Rule
from service.validation.values import count, model, name, whole
from service.validation.violation import Findings, ViolationReason

MODELS_MAX = 100
MAX_TOKENS_MAX = 1_000_000
REQUEST_ID_CHARS_MAX = 100

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_SCOPES = frozenset(get_args(Scope))
_SCOPES_TOLD = ", ".join(sorted(_SCOPES))


def principal_name(findings: Findings, field: str, value: str) -> None:
    """Checks the name of who calls, within a team: as the config names things."""
    if not _NAME.fullmatch(value):
        bounds = "must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit"
        findings.add(field, ViolationReason.INVALID_CHARACTERS, f"{bounds}; has {len(value)} characters")


def scopes(findings: Findings, field: str, value: Sequence[str]) -> None:
    """Checks a list of scopes: each is known, and none is there twice."""
    _items(findings, field, value, len(_SCOPES), _scope)


def models(findings: Findings, field: str, value: Sequence[str]) -> None:
    """Checks a list of names of models; whether Cohere knows them is for others to say."""
    _items(findings, field, value, MODELS_MAX, _model)


max_tokens = whole(1, MAX_TOKENS_MAX)
rate = whole(1, RATE_MAX)
request_id = name(REQUEST_ID_CHARS_MAX)


def _items(findings: Findings, field: str, value: Sequence[str], items_max: int, rule: Rule) -> None:
    if len(value) > items_max:
        count(items_max)(findings, field, value)
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        place = f"{field}[{index}]"
        if item in seen:
            findings.add(place, ViolationReason.DUPLICATE, "is listed before")
        else:
            rule(findings, place, item)
        seen.add(item)


def _scope(findings: Findings, field: str, value: str) -> None:
    if value not in _SCOPES:
        findings.add(field, ViolationReason.UNKNOWN_VALUE, f"must be one of {_SCOPES_TOLD}")


def _model(findings: Findings, field: str, value: str) -> None:
    if value:
        model(findings, field, value)
    else:
        findings.add(field, ViolationReason.REQUIRED, "must not be empty")
