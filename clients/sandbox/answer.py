"""What an endpoint gives back before keys, limits, bill and faults have their say."""

from dataclasses import dataclass, field
from typing import Any

API_META = {"api_version": {"version": "2"}}


@dataclass(slots=True)
class Answer:
    """An answer that Cohere would send and bill.

    Attributes:
        body: The JSON of the unary answer.
        model: The model that worked, "" for endpoints that cost nothing.
        billed_units: What Cohere bills, by its own names.
        events: The events of a stream in order, or None for a unary answer.
        endless_units: What is billed when a fault lets the stream run on for ever.
        texts: How many texts count against the embed rate limit.
        images: How many images do.
        counted: True if Cohere adds the headers num_tokens and num_chars.
        warning: The text of `x-api-warning`, "" for none.
    """

    body: dict[str, Any]
    model: str = ""
    billed_units: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] | None = None
    endless_units: dict[str, int] = field(default_factory=dict)
    texts: int = 0
    images: int = 0
    counted: bool = False
    warning: str = ""
