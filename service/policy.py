"""What a team may use → the terms of one call, or a refusal that says which rule and by how much. Pure.

PolicyDenied
├── EndpointNotAllowed
├── ModelNotAllowed
├── MaxTokensAboveCap
└── InputTokensAboveCap
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatRequest
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.error_reason_pb2 import ErrorReason
from cohort.v1.rerank_pb2 import RerankRequest
from service.validation import input_bytes

Endpoint: TypeAlias = Literal["chat", "embed", "rerank"]
"""ChatStream is "chat" as well: the same request, the same price."""

NAMES_MAX = 50
"""Allowed names told in one refusal; status details travel in headers, which are small."""


@dataclass(frozen=True)
class Policy:
    """What a team may use.

    Attributes:
        team: Its name.
        endpoints: The endpoints it may call.
        models: The models it may name, exactly as Cohere names them.
        max_tokens_per_call: The most output tokens of a Chat, thinking included.
        max_input_tokens_per_call: The most input tokens of any call, as `input_bytes` bounds them; or None.
        of_one_credential: It is narrower than the team's.
    """

    team: str
    endpoints: frozenset[str]
    models: frozenset[str]
    max_tokens_per_call: int
    max_input_tokens_per_call: int | None = None
    of_one_credential: bool = False

    def narrowed(self, models: frozenset[str], max_tokens_per_call: int | None) -> "Policy":
        """What a credential of the team may use.

        Args:
            models: The only models that it may name, as far as the team may; empty for all of the team's.
            max_tokens_per_call: Its own cap beside the team's; None for the team's alone.
        """
        if not models and max_tokens_per_call is None:
            return self
        cap = self.max_tokens_per_call
        return replace(
            self,
            models=self.models & models if models else self.models,
            max_tokens_per_call=cap if max_tokens_per_call is None else min(cap, max_tokens_per_call),
            of_one_credential=True,
        )

    @property
    def whose(self) -> str:
        """Whose it is, for people."""
        return f"this credential of team {self.team}" if self.of_one_credential else f"team {self.team}"


@dataclass(frozen=True)
class Terms:
    """What holds for one call.

    Attributes:
        team: Who pays.
        endpoint: What is called.
        model: What answers.
        max_tokens: What MUST be sent to Cohere as `max_tokens` of a Chat; None for Embed and Rerank.
        max_input_tokens: The cap on input tokens that was met, or None.
    """

    team: str
    endpoint: Endpoint
    model: str
    max_tokens: int | None
    max_input_tokens: int | None


class PolicyDenied(Exception):
    """The team's policy does not allow the call.

    Attributes:
        reason: The rule, for programs.
        message: The rule, for people; safe for the caller.
        metadata: The numbers and names behind it.
        field: The field of the request that breaks the rule, or None.
    """

    reason: ErrorReason.ValueType
    field: str | None = None

    def __init__(self, message: str, **metadata: str) -> None:
        self.message = message
        self.metadata = metadata
        super().__init__(message)


class EndpointNotAllowed(PolicyDenied):
    """The team may not call this endpoint with any credential."""

    reason = reasons.ERROR_REASON_ENDPOINT_NOT_ALLOWED

    def __init__(self, policy: Policy, endpoint: Endpoint) -> None:
        allowed = _named(policy.endpoints)
        super().__init__(
            f"team {policy.team} may not call {endpoint}; allowed: {allowed}",
            endpoint=endpoint,
            allowed_endpoints=allowed,
        )


class ModelNotAllowed(PolicyDenied):
    """The model is not one of the team's, or not spelled as the team's policy spells it."""

    reason = reasons.ERROR_REASON_MODEL_NOT_ALLOWED
    field = "model"

    def __init__(self, policy: Policy, model: str) -> None:
        allowed = _named(policy.models)
        super().__init__(
            f"{policy.whose} may not use this model; allowed: {allowed}",
            model=model,
            allowed_models=allowed,
        )


class MaxTokensAboveCap(PolicyDenied):
    """More output tokens are asked for than a call may have."""

    reason = reasons.ERROR_REASON_MAX_TOKENS_ABOVE_CAP

    def __init__(self, policy: Policy, field: str, requested: int) -> None:
        self.field = field
        self.requested = requested
        self.cap = policy.max_tokens_per_call
        super().__init__(
            f"{field} is {requested}; a call of {policy.whose} may have at most {self.cap}",
            field=field,
            requested=str(requested),
            cap=str(self.cap),
        )


class InputTokensAboveCap(PolicyDenied):
    """The input could be more tokens than a call may have."""

    reason = reasons.ERROR_REASON_INPUT_TOKENS_ABOVE_CAP

    def __init__(self, policy: Policy, input_bound: int, cap: int) -> None:
        self.input_bound = input_bound
        self.cap = cap
        super().__init__(
            f"the input could be up to {input_bound} tokens, one a byte; "
            f"a call of team {policy.team} may have at most {cap}",
            input_bound=str(input_bound),
            cap=str(cap),
        )


def terms_of(policy: Policy, endpoint: Endpoint, request: ChatRequest | EmbedRequest | RerankRequest) -> Terms:
    """Returns the terms of a call. *request* MUST have passed validation; it is not changed.

    Raises:
        EndpointNotAllowed: The endpoint is not the team's.
        ModelNotAllowed: The model is not the team's; names are compared as they stand, nothing is folded.
        MaxTokensAboveCap: `max_tokens` or the thinking budget is above the cap. It is never lowered silently.
        InputTokensAboveCap: The bound of the input is above the cap.
    """
    if endpoint not in policy.endpoints:
        raise EndpointNotAllowed(policy, endpoint)
    if request.model not in policy.models:
        raise ModelNotAllowed(policy, request.model)
    max_tokens = _max_tokens(policy, request) if isinstance(request, ChatRequest) else None
    cap = policy.max_input_tokens_per_call
    if cap is not None and (input_bound := input_bytes(request)) > cap:
        raise InputTokensAboveCap(policy, input_bound, cap)
    return Terms(policy.team, endpoint, request.model, max_tokens, cap)


def _max_tokens(policy: Policy, request: ChatRequest) -> int:
    cap = policy.max_tokens_per_call
    if request.max_tokens > cap:
        raise MaxTokensAboveCap(policy, "max_tokens", request.max_tokens)
    # max_tokens covers the thinking, too: a larger budget would be lowered silently.
    if request.thinking.token_budget > cap:
        raise MaxTokensAboveCap(policy, "thinking.token_budget", request.thinking.token_budget)
    return request.max_tokens if request.HasField("max_tokens") else cap


def _named(names: frozenset[str]) -> str:
    if not names:
        return "none"
    named = sorted(names)[:NAMES_MAX]
    more = f", and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(named) + more
