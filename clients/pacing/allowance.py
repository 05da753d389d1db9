"""Cohere's published rate limits, as they hold for one kind of key.

Source: Cohere's page "Rate limits" (2026-08): per minute and key, for chat also per model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from clients.pacing.load import CHAT, EMBED_IMAGES, EMBED_TEXTS, RERANK

CHAT_ON_REQUEST_PER_MINUTE = 20
ON_REQUEST = frozenset({
    "command-a-plus-05-2026", "command-a-reasoning-08-2025", "command-a-translate-08-2025",
    "command-a-vision-07-2025",
})  # fmt: skip
"""Models for which a production key has no more than a trial key, until Cohere's sales say otherwise."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may be used for in a minute; by default what Cohere publishes for production keys."""

    chat_requests: int = 500
    """For each model that `chat_requests_by_model` does not name, those of `ON_REQUEST` excepted."""
    embed_inputs: int = 2000
    """Of texts."""
    embed_images: int = 400
    rerank_requests: int = 1000
    chat_requests_by_model: Mapping[str, int] = field(default_factory=dict)

    def limit_of(self, limit_name: str) -> int:
        """The most that a minute allows of what a `Demand` names."""
        if limit_name.startswith(CHAT):
            model = limit_name.removeprefix(CHAT)
            most = min(self.chat_requests, CHAT_ON_REQUEST_PER_MINUTE) if model in ON_REQUEST else self.chat_requests
            return self.chat_requests_by_model.get(model, most)
        return {EMBED_TEXTS: self.embed_inputs, EMBED_IMAGES: self.embed_images, RERANK: self.rerank_requests}[
            limit_name
        ]


TRIAL = Allowance(chat_requests=20, embed_inputs=2000, embed_images=5, rerank_requests=10)
"""What Cohere publishes for trial keys."""
