"""Which settings may hold any text: none of those that stand in records or log lines."""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from service.config.sections import Config
from tests.identity.corpus import STRINGS

COMPARED = {
    "identity.organisation",
    "identity.audience",
    "identity.issuers.*.audience",
    "identity.issuers.*.team_claim",
    "identity.issuers.*.teams.<name>",
    "identity.issuers.*.name_claim",
    "identity.issuers.*.scope_claim",
    "identity.issuers.*.scope_prefix",
    "identity.issuers.*.scopes.<name>",
}
"""With what tokens say, and no more."""
SENT = {"identity.issuers.*.client_id", "secrets.vault.role_id"}
"""To whoever gave it, encoded."""
PACED = {f"cohere.pacing.{kind}.chat_requests_per_minute_by_model.<name>" for kind in ("production", "trial")}
"""Compared with the model of a call, and no more."""
PRICED = {"teams.*.models.*", "identity.spiffe_ids.*.models.*"}
"""Records name a model as the price book does, and what has no price there is refused."""


def texts(annotation: Any, metadata: tuple[Any, ...], way: str) -> Iterator[tuple[str, TypeAdapter[Any]]]:
    """Each text of a type, as a setting's path with `*` for a name, and what is taken there."""
    origin, within = get_origin(annotation), get_args(annotation)
    if annotation is str:
        yield way, TypeAdapter(Annotated[(annotation, *metadata)] if metadata else annotation)
    elif origin is Annotated:
        yield from texts(within[0], (*within[1:], *metadata), way)
    elif origin in {Union, types.UnionType}:
        for each in within:
            yield from texts(each, metadata, way)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        yield from texts(within[0], (), f"{way}.<name>")
        yield from texts(within[1], (), f"{way}.*")
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from texts(field.annotation, tuple(field.metadata), f"{way}.{name}")
    elif origin is not None and origin is not Literal:
        for each in within:
            yield from texts(each, (), f"{way}.*")


SETTINGS = {way.removeprefix("."): adapter for way, adapter in texts(Config, (), "")}


def taken(adapter: TypeAdapter[Any], text: str) -> bool:
    try:
        adapter.validate_python(text)
    except ValidationError:
        return False
    return True


def test_a_setting_that_is_written_somewhere_takes_no_text_that_could_end_a_line_or_a_statement() -> None:
    odd = [text for text in STRINGS if not text.isprintable() or "'" in text or '"' in text]
    assert len(odd) > 10

    assert {way for way, adapter in SETTINGS.items() if any(taken(adapter, text) for text in odd)} == (
        COMPARED | SENT | PACED | PRICED
    )
    assert {"teams.<name>", "identity.spiffe_ids.*.name", "identity.issuers.<name>", "environment"} < set(SETTINGS)
