"""How fast Cohere keys may be used: what kind each is, and what Cohere allows that kind."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictInt

from service.config.base import Section

KeyKind: TypeAlias = Literal["production", "trial", "off"]
PerMinute: TypeAlias = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
ModelName: TypeAlias = Annotated[str, Field(min_length=1, max_length=200)]


class AllowanceConfig(Section):
    """What a production key may be used for in a minute; by default what Cohere publishes."""

    chat_requests_per_minute: PerMinute = 500
    """Of each model that is not named below; of those that Cohere gives production keys on request only, 20."""
    chat_requests_per_minute_by_model: dict[ModelName, PerMinute] = Field(default_factory=dict)
    embed_inputs_per_minute: PerMinute = 2000
    """Of texts."""
    embed_images_per_minute: PerMinute = 400
    rerank_requests_per_minute: PerMinute = 1000


class TrialAllowanceConfig(AllowanceConfig):
    """The same of a trial key."""

    chat_requests_per_minute: PerMinute = 20
    embed_images_per_minute: PerMinute = 5
    rerank_requests_per_minute: PerMinute = 10


class PacingConfig(Section):
    """The kinds of keys."""

    key_kind: KeyKind = "production"
    """What teams' Cohere keys are whose `cohere_key_kind` is absent; `off`: they are not paced."""
    production: AllowanceConfig = AllowanceConfig()
    trial: TrialAllowanceConfig = TrialAllowanceConfig()
