"""What a team may use, and how it is told what it may not."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, Thinking
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest
from service.policy import (
    NAMES_MAX,
    Endpoint,
    EndpointNotAllowed,
    InputTokensAboveCap,
    MaxTokensAboveCap,
    ModelNotAllowed,
    Policy,
    PolicyDenied,
    Terms,
    terms_of,
)
from service.validation import input_bytes

MODEL = "command-a-03-2025"
POLICY = Policy(
    team="demo",
    endpoints=frozenset({"chat", "embed", "rerank"}),
    models=frozenset({MODEL, "embed-v4.0"}),
    max_tokens_per_call=4_096,
)
REQUESTS: dict[Endpoint, ChatRequest | EmbedRequest | RerankRequest] = {
    "chat": ChatRequest(model=MODEL, messages=[ChatMessage(role="user", text="Hi")]),
    "embed": EmbedRequest(model=MODEL, texts=["Hi"]),
    "rerank": RerankRequest(model=MODEL, query="Hi", documents=["Hello"]),
}
CAPS = st.integers(1, 2**31 - 1)


def test_a_chat_without_max_tokens_gets_the_cap() -> None:
    assert terms_of(POLICY, "chat", REQUESTS["chat"]) == Terms("demo", "chat", MODEL, 4_096, None)


@pytest.mark.parametrize("endpoint", ["embed", "rerank"])
def test_what_has_no_output_tokens_has_no_max_tokens(endpoint: Endpoint) -> None:
    assert terms_of(POLICY, endpoint, REQUESTS[endpoint]) == Terms("demo", endpoint, MODEL, None, None)


@given(requested=CAPS, cap=CAPS)
def test_max_tokens_is_kept_or_refused_and_never_lowered(requested: int, cap: int) -> None:
    policy = replace(POLICY, max_tokens_per_call=cap)
    request = ChatRequest(model=MODEL, max_tokens=requested)
    if requested <= cap:
        assert terms_of(policy, "chat", request).max_tokens == requested
    else:
        with pytest.raises(MaxTokensAboveCap):
            terms_of(policy, "chat", request)


@given(budget=CAPS, cap=CAPS)
def test_a_thinking_budget_above_the_cap_is_refused(budget: int, cap: int) -> None:
    policy = replace(POLICY, max_tokens_per_call=cap)
    request = ChatRequest(model=MODEL, thinking=Thinking(type="enabled", token_budget=budget))
    if budget <= cap:
        assert terms_of(policy, "chat", request).max_tokens == cap
    else:
        with pytest.raises(MaxTokensAboveCap):
            terms_of(policy, "chat", request)


@given(cap=st.integers(0, 200), text=st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_the_input_is_kept_or_refused_by_its_bound(cap: int, text: str) -> None:
    policy = replace(POLICY, max_input_tokens_per_call=cap)
    request = RerankRequest(model=MODEL, query="?", documents=[text])
    if input_bytes(request) <= cap:
        assert terms_of(policy, "rerank", request).max_input_tokens == cap
    else:
        with pytest.raises(InputTokensAboveCap):
            terms_of(policy, "rerank", request)


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_the_cap_on_input_holds_for_every_endpoint(endpoint: Endpoint) -> None:
    bound = input_bytes(REQUESTS[endpoint])

    enough = terms_of(replace(POLICY, max_input_tokens_per_call=bound), endpoint, REQUESTS[endpoint])
    assert enough.max_input_tokens == bound
    with pytest.raises(InputTokensAboveCap):
        terms_of(replace(POLICY, max_input_tokens_per_call=bound - 1), endpoint, REQUESTS[endpoint])


@pytest.mark.parametrize(
    "model",
    [
        "Command-A-03-2025",
        "command-a",
        "command-a-03-2025 ",
        " command-a-03-2025",
        "command-a-03-2025\x00",
        "command-a-03-2025-20260101",
        "comm\u0430nd-a-03-2025",
        "command\u2010a\u201003\u20102025",
        "\uff43ommand-a-03-2025",
        "*",
        "",
    ],
)
def test_only_the_very_name_of_a_model_passes(model: str) -> None:
    with pytest.raises(ModelNotAllowed):
        terms_of(POLICY, "chat", ChatRequest(model=model))


@given(st.sampled_from(list(REQUESTS)), st.sets(st.sampled_from(list(REQUESTS))))
def test_an_endpoint_passes_if_it_is_the_teams(endpoint: Endpoint, allowed: set[Endpoint]) -> None:
    policy = replace(POLICY, endpoints=frozenset(allowed))
    if endpoint in allowed:
        assert terms_of(policy, endpoint, REQUESTS[endpoint]).endpoint == endpoint
    else:
        with pytest.raises(EndpointNotAllowed):
            terms_of(policy, endpoint, REQUESTS[endpoint])


REFUSALS = [
    (
        replace(POLICY, endpoints=frozenset({"rerank", "embed"})),
        REQUESTS["chat"],
        reasons.ERROR_REASON_ENDPOINT_NOT_ALLOWED,
        None,
        {"endpoint": "chat", "allowed_endpoints": "embed, rerank"},
        "team demo may not call chat; allowed: embed, rerank",
    ),
    (
        POLICY,
        ChatRequest(model="command-r"),
        reasons.ERROR_REASON_MODEL_NOT_ALLOWED,
        "model",
        {"model": "command-r", "allowed_models": "command-a-03-2025, embed-v4.0"},
        "team demo may not use this model; allowed: command-a-03-2025, embed-v4.0",
    ),
    (
        POLICY,
        ChatRequest(model=MODEL, max_tokens=4_097),
        reasons.ERROR_REASON_MAX_TOKENS_ABOVE_CAP,
        "max_tokens",
        {"field": "max_tokens", "requested": "4097", "cap": "4096"},
        "max_tokens is 4097; a call of team demo may have at most 4096",
    ),
    (
        POLICY,
        ChatRequest(model=MODEL, thinking=Thinking(token_budget=5_000)),
        reasons.ERROR_REASON_MAX_TOKENS_ABOVE_CAP,
        "thinking.token_budget",
        {"field": "thinking.token_budget", "requested": "5000", "cap": "4096"},
        "thinking.token_budget is 5000; a call of team demo may have at most 4096",
    ),
    (
        replace(POLICY, max_input_tokens_per_call=46),
        REQUESTS["chat"],
        reasons.ERROR_REASON_INPUT_TOKENS_ABOVE_CAP,
        None,
        {"input_bound": "47", "cap": "46"},
        "the input could be up to 47 tokens, one a byte; a call of team demo may have at most 46",
    ),
]


@pytest.mark.parametrize(("policy", "request_", "reason", "field", "metadata", "message"), REFUSALS)
def test_a_refusal_tells_the_rule_and_its_numbers(
    policy: Policy,
    request_: ChatRequest,
    reason: int,
    field: str | None,
    metadata: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(PolicyDenied, match=f"^{re.escape(message)}$") as refusal:
        terms_of(policy, "chat", request_)

    denied = refusal.value
    assert (denied.reason, denied.field, denied.metadata) == (reason, field, metadata)


@pytest.mark.parametrize(("models", "end"), [(NAMES_MAX, ", model-049"), (NAMES_MAX + 7, ", model-049, and 7 more")])
def test_a_refusal_names_a_bounded_number_of_models(models: int, end: str) -> None:
    policy = replace(POLICY, models=frozenset(f"model-{index:03}" for index in range(models)))
    with pytest.raises(ModelNotAllowed) as refusal:
        terms_of(policy, "chat", REQUESTS["chat"])

    assert refusal.value.metadata["allowed_models"].startswith("model-000, model-001, ")
    assert refusal.value.metadata["allowed_models"].endswith(end)


def test_a_team_without_models_is_told_so() -> None:
    with pytest.raises(ModelNotAllowed, match="allowed: none"):
        terms_of(replace(POLICY, models=frozenset()), "chat", REQUESTS["chat"])


def test_the_numbers_of_a_refusal_are_attributes() -> None:
    with pytest.raises(MaxTokensAboveCap) as output:
        terms_of(POLICY, "chat", ChatRequest(model=MODEL, max_tokens=4_097))
    with pytest.raises(InputTokensAboveCap) as input_:
        terms_of(replace(POLICY, max_input_tokens_per_call=46), "chat", REQUESTS["chat"])

    assert (output.value.requested, output.value.cap) == (4_097, 4_096)
    assert (input_.value.input_bound, input_.value.cap) == (47, 46)


@pytest.mark.parametrize("endpoint", REQUESTS)
def test_terms_change_nothing_in_the_request(endpoint: Endpoint) -> None:
    before = REQUESTS[endpoint].SerializeToString(deterministic=True)
    terms_of(POLICY, endpoint, REQUESTS[endpoint])

    assert REQUESTS[endpoint].SerializeToString(deterministic=True) == before
