"""What a credential may use that is narrower than its team's."""

import pytest

from cohort.v1.chat_pb2 import ChatRequest
from service.policy import MaxTokensAboveCap, ModelNotAllowed, Policy, terms_of

TEAM = Policy("search", frozenset({"chat"}), frozenset({"a", "b"}), 500)


def test_where_nothing_is_narrower_the_policy_is_the_teams_own() -> None:
    assert TEAM.narrowed(frozenset(), None) is TEAM


def test_a_credential_uses_the_models_that_both_allow() -> None:
    narrow = TEAM.narrowed(frozenset({"b", "c"}), None)

    assert narrow.models == {"b"}
    assert terms_of(narrow, "chat", ChatRequest(model="b")).max_tokens == 500
    with pytest.raises(ModelNotAllowed, match="this credential of team search may not use this model; allowed: b"):
        terms_of(narrow, "chat", ChatRequest(model="a"))
    with pytest.raises(ModelNotAllowed):
        terms_of(narrow, "chat", ChatRequest(model="c"))


def test_a_credential_whose_models_are_not_the_teams_may_use_none() -> None:
    with pytest.raises(ModelNotAllowed, match="allowed: none"):
        terms_of(TEAM.narrowed(frozenset({"c"}), None), "chat", ChatRequest(model="c"))


@pytest.mark.parametrize(("own", "cap"), [(100, 100), (500, 500), (501, 500)])
def test_the_smaller_cap_holds_and_is_what_a_chat_without_max_tokens_asks_for(own: int, cap: int) -> None:
    narrow = TEAM.narrowed(frozenset(), own)

    assert terms_of(narrow, "chat", ChatRequest(model="a")).max_tokens == cap
    assert terms_of(narrow, "chat", ChatRequest(model="a", max_tokens=cap)).max_tokens == cap
    with pytest.raises(MaxTokensAboveCap, match="of this credential of team search may have at most") as refused:
        terms_of(narrow, "chat", ChatRequest(model="a", max_tokens=cap + 1))
    assert refused.value.cap == cap


def test_a_refusal_by_the_teams_own_policy_names_the_team() -> None:
    with pytest.raises(ModelNotAllowed, match=r"^team search may not"):
        terms_of(TEAM, "chat", ChatRequest(model="c"))
