"""The tables cover the contract, whatever is added to it."""

import pytest

from cohort.v1.chat_pb2 import CitationOptions, Thinking
from service.validation.rules import PASSES, Rules
from service.validation.values import whole, word


def test_a_field_without_a_rule_fails_at_import() -> None:
    with pytest.raises(ValueError, match=r"cohort\.v1\.Thinking: no rule or no field for \['token_budget'\]"):
        Rules.of(Thinking, {"type": word})


def test_a_rule_without_a_field_fails_at_import() -> None:
    with pytest.raises(ValueError, match=r"\['budget'\]"):
        Rules.of(Thinking, {"type": word, "token_budget": whole(1), "budget": PASSES})


def test_a_required_field_that_is_none_fails_at_import() -> None:
    with pytest.raises(KeyError, match="kind"):
        Rules.of(CitationOptions, {"mode": word}, required=("kind",))
