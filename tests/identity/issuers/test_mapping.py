from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.config import IssuerConfig
from service.identity.issuers.mapping import actors_of, claim_of, principal_of
from service.identity.principal import Principal
from service.identity.refusals import CredentialRefused
from service.identity.scopes import SCOPES
from service.recordable import CHARS_MAX, recordable

CLAIMS: dict[str, Any] = {"team": "search", "scope": "chat embed"}


def mapped(claims: dict[str, Any], **settings: Any) -> Principal:
    config = IssuerConfig.model_validate({"issuer": "https://id.example", **settings})
    return principal_of("sso", config, {**CLAIMS, **claims}, "ada")


def refused(claims: dict[str, Any], **settings: Any) -> str:
    with pytest.raises(CredentialRefused) as raised:
        mapped(claims, **settings)
    return raised.value.why


def test_claims_become_a_principal() -> None:
    assert mapped({}) == Principal("search", "ada", frozenset({"chat", "embed"}), "oauth2", "sso:ada")


def test_a_team_is_named_by_its_claim_or_by_the_map_of_the_config() -> None:
    teams = {"3f2a": "search", "77b1": "ads", "77b2": "ads"}

    assert mapped({"org": "ads"}, team_claim="org").team == "ads"
    assert mapped({"team": "3f2a"}, teams=teams).team == "search"
    assert mapped({"team": ["everyone", "3f2a", 7, None]}, teams=teams).team == "search"
    assert mapped({"team": ["77b1", "77b2"]}, teams=teams).team == "ads"
    assert mapped({"team": ["search"]}).team == "search"


@pytest.mark.parametrize("value", [None, 7, True, {}, [], [7], {"search": "search"}, "search"])
def test_who_is_of_no_team_that_the_map_knows_is_refused(value: Any) -> None:
    assert refused({"team": value}, teams={"3f2a": "search"}) == "token without a team"


@pytest.mark.parametrize("value", [None, 7, {}, [], [7]])
def test_without_a_map_a_team_is_a_text(value: Any) -> None:
    assert refused({"team": value}) == "token without a team"


def test_who_is_of_two_teams_is_refused() -> None:
    assert refused({"team": ["3f2a", "77b1"]}, teams={"3f2a": "search", "77b1": "ads"}) == "token of more than one team"
    assert refused({"team": ["search", "ads"]}) == "token of more than one team"


@pytest.mark.parametrize(
    "value",
    ["chat embed", ["chat", "embed"], ["chat", "embed", 7, None, ["admin"]], "chat  embed chat", "chat\tx embed chat"],
)
def test_scopes_are_separated_by_spaces_or_an_array(value: Any) -> None:
    assert mapped({"scope": value}).scopes == {"chat", "embed"}


def test_scopes_that_are_not_meant_for_this_service_are_ignored() -> None:
    scope = "openid chat cohort:embed cohort:cohort:chat Cohort:rerank"

    assert mapped({"scope": scope}, scope_prefix="cohort:").scopes == {"embed"}
    assert mapped({"roles": scope}, scope_claim="roles").scopes == {"chat"}


def test_a_scope_that_nothing_marks_as_meant_for_this_service_opens_no_more_than_calls() -> None:
    everything = " ".join(SCOPES)

    assert mapped({"scope": everything}).scopes == {"chat", "embed", "rerank"}
    for scope in SCOPES - {"chat", "embed", "rerank"}:
        assert refused({"scope": scope}) == "token without a scope of this service"
    prefixed = " ".join(f"cohort:{scope}" for scope in SCOPES)
    assert mapped({"scope": prefixed}, scope_prefix="cohort:").scopes == SCOPES - {"admin"}
    assert mapped({"scope": everything}, scopes={scope: [scope] for scope in SCOPES}).scopes == SCOPES


def test_scopes_are_what_the_map_of_the_config_says() -> None:
    scopes = {"Cohort.Use": ["chat", "embed"], "Cohort.Run": ["admin"]}

    assert mapped({"scope": "Cohort.Use rerank"}, scopes=scopes).scopes == {"chat", "embed"}
    assert mapped({"scope": "Cohort.Run"}, scopes=scopes, scope_prefix="cohort:").scopes == {"admin"}


@pytest.mark.parametrize("scope", ["admin", "cohort:admin", "ADMIN admin", ["admin"], "*"])
@pytest.mark.parametrize("settings", [{}, {"scope_prefix": "cohort:"}, {"scopes": {"x": ["admin"]}}])
def test_nobody_is_admin_whom_the_map_of_the_config_does_not_make_one(scope: Any, settings: dict[str, Any]) -> None:
    assert refused({"scope": scope}, **settings) == "token without a scope of this service"


@pytest.mark.parametrize("scope", [None, "", " ", 7, True, {}, {"chat": True}, [], [["chat"]], "Chat", "chat,embed"])
def test_a_token_without_a_known_scope_is_refused(scope: Any) -> None:
    assert refused({"scope": scope}).startswith("token without")


def test_who_calls_is_named_by_its_claim_or_its_subject() -> None:
    assert mapped({"email": "ada@example.com"}, name_claim="email").name == "ada@example.com"
    assert mapped({}, name_claim="email").name == "ada"
    assert mapped({"sub": "of another"}, name_claim="email").name == "ada"


@pytest.mark.parametrize("name", ["", 7, None, ["ada"]])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    assert refused({"email": name}, name_claim="email") == "token without a usable name"


@given(st.text(min_size=1))
def test_a_name_stands_in_records_printable_and_short(name: str) -> None:
    recorded = mapped({"email": name}, name_claim="email").name

    assert recorded.isprintable()
    assert 0 < len(recorded) <= CHARS_MAX
    assert recorded == name or not name.isprintable() or len(name) > CHARS_MAX


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\x00b", "a\u2028b"])
def test_what_would_break_a_log_line_is_replaced(text: str) -> None:
    assert recordable(text).startswith("a\ufffd")


ROLES = "https://example.com/roles"


def test_a_claim_is_named_whole_or_by_the_path_to_it() -> None:
    keycloak = {
        "team": None,
        "scope": "openid",
        "realm_access": {"roles": ["chat", "offline_access"]},
        "resource_access": {"cohort.example.com": {"roles": ["embed"]}, "cohort": {"example": {"com": "rerank"}}},
        "organisation": {"unit": {"team": "ads"}, "person": {"e-mail": "ada@example.com"}},
    }

    who = mapped(
        keycloak,
        team_claim="organisation.unit.team",
        name_claim="organisation.person.e-mail",
        scope_claim="realm_access.roles",
    )
    assert (who.team, who.name) == ("ads", "ada@example.com")
    assert who.scopes == {"chat"}
    nested = mapped({**keycloak, "team": "ads"}, scope_claim="resource_access.cohort.example.com.roles")
    assert nested.scopes == {"embed"}
    assert mapped({ROLES: ["rerank"]}, scope_claim=ROLES).scopes == {"rerank"}
    assert mapped({"x": {ROLES: ["rerank"]}}, scope_claim=f"x.{ROLES}").scopes == {"rerank"}


@pytest.mark.parametrize(
    ("claims", "value"),
    [
        ({"a.b.c": 1, "a.b": {"c": 2}, "a": {"b.c": 3, "b": {"c": 4}}}, 1),
        ({"a.b": {"c": 2}, "a": {"b.c": 3, "b": {"c": 4}}}, 2),
        ({"a": {"b.c": 3, "b": {"c": 4}}}, 3),
        ({"a": {"b": {"c": 4}}}, 4),
        ({"a.b.c": None, "a": {"b": {"c": 4}}}, None),
        ({"a.b": {}, "a": {"b": {"c": 4}}}, "none"),  # the first way is the only one
        ({"a.b": "text", "a": {"b": {"c": 4}}}, 4),
        ({"a": {"b": [{"c": 4}]}}, "none"),
        ({"a": {"b": "c"}}, "none"),
        ({"a": "b.c"}, "none"),
        ({"c": 4}, "none"),
        ({}, "none"),
    ],
)
def test_the_longest_name_that_is_there_counts(claims: dict[str, Any], value: object) -> None:
    assert claim_of(claims, "a.b.c", "none") == value


@pytest.mark.parametrize("name", [".", "..", ".a", "a.", "a..b", "." * 200])
def test_a_name_with_nothing_between_its_dots_is_a_name_like_any_other(name: str) -> None:
    assert claim_of({"a": {"b": 1}}, name, "none") == "none"
    assert claim_of({name: 1}, name, "none") == 1


def test_a_name_that_a_token_lacks_is_its_subject_wherever_it_was_to_stand() -> None:
    assert mapped({"person": {}}, name_claim="person.e-mail").name == "ada"
    assert refused({"person": {"e-mail": 7}}, name_claim="person.e-mail") == "token without a usable name"


def chain(depth: int) -> dict[str, Any]:
    claims: dict[str, Any] = {}
    for number in range(depth, 0, -1):
        claims = {"act": {"sub": f"actor-{number}", **claims}}
    return claims


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_who_acts_for_a_caller_stands_in_the_principal_the_present_one_first(depth: int) -> None:
    assert mapped(chain(depth)).actors == tuple(f"actor-{number + 1}" for number in range(depth))


@pytest.mark.parametrize("depth", [4, 5, 100])
def test_a_longer_chain_of_actors_is_refused(depth: int) -> None:
    with pytest.raises(CredentialRefused, match="too many actors"):
        actors_of(chain(depth))


@pytest.mark.parametrize(
    "act",
    [
        None,
        "ada",
        [],
        {},
        {"sub": ""},
        {"sub": 7},
        {"client_id": "x"},
        {"sub": "a", "act": None},
        {"act": {"sub": "a"}},
    ],
)
def test_an_actor_who_does_not_say_who_it_is_is_refused(act: Any) -> None:
    with pytest.raises(CredentialRefused, match="does not say who"):
        actors_of({"act": act})


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sub", "act", "x"]), inner, max_size=3)
    ),
)
SETTINGS: list[dict[str, Any]] = [{}, {"teams": {"a": "search"}, "scopes": {"x": ["admin"]}}, {"scope_prefix": "c:"}]


@given(
    st.dictionaries(st.sampled_from(["team", "scope", "sub", "act"]), json | st.sampled_from(["a", "x", "chat"])),
    st.sampled_from(SETTINGS),
)
def test_whatever_is_claimed_yields_a_principal_or_a_refusal(claims: dict[str, Any], settings: dict[str, Any]) -> None:
    try:
        principal = mapped(claims, **settings)
    except CredentialRefused:
        return

    assert principal.scopes
    assert principal.scopes <= SCOPES
    assert "admin" not in principal.scopes or "scopes" in settings
    assert principal.scopes <= {"chat", "embed", "rerank"} or settings
    assert len(principal.actors) <= 3
