"""The models the sandbox serves, what each can do, and the answers of `/v1/models`."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from clients.sandbox import fields
from clients.sandbox.errors import CohereError, invalid

_PAGE_SIZE_DEFAULT = 20
_PAGE_SIZE_MAX = 1000
_ENDPOINTS = ("chat", "embed", "classify", "summarize", "rerank", "rate", "generate")
_V3_DIMENSION, _V3_LIGHT_DIMENSION = 1024, 384


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        context_tokens: The context window; for embed the longest input, for rerank query plus document.
        output_tokens_max: The longest chat answer.
        features: Cohere's words for what a chat model can do, as `/v1/models` lists them.
        dimensions: The output dimensions an embed model offers, the default last.
    """

    name: str
    endpoint: str
    context_tokens: int
    output_tokens_max: int = 0
    features: tuple[str, ...] = ()
    dimensions: tuple[int, ...] = ()

    @property
    def reasoning(self) -> bool:
        """True if answers begin with a thinking block."""
        return "reasoning" in self.features

    @property
    def vision(self) -> bool:
        """True if a chat may hold images."""
        return "vision" in self.features

    @property
    def generation(self) -> int:
        """The version of an embed or rerank model: 3, 4 or 5."""
        return int(self.name.rpartition("v")[2][0])


_TOOLS = ("json_mode", "json_schema", "safety_modes", "strict_tools", "tools")
_EMBED_V4 = (256, 512, 1024, 1536)
_EMBED_V5 = (256, 512, 768, 1024, 1536, 2048)

_ALL = (
    Model("command-a-03-2025", "chat", 256_000, 8_000, _TOOLS),
    Model("command-a-plus-05-2026", "chat", 128_000, 64_000, (*_TOOLS, "reasoning", "vision")),
    Model("command-a-reasoning-08-2025", "chat", 256_000, 32_000, (*_TOOLS, "reasoning")),
    Model("command-a-translate-08-2025", "chat", 8_000, 8_000, _TOOLS),
    Model(
        "command-a-vision-07-2025",
        "chat",
        128_000,
        8_000,
        ("json_mode", "json_schema", "safety_modes", "vision"),
    ),
    Model("command-r-plus-08-2024", "chat", 128_000, 4_000, _TOOLS),
    Model("command-r-08-2024", "chat", 128_000, 4_000, _TOOLS),
    Model("command-r7b-12-2024", "chat", 128_000, 4_000, _TOOLS),
    Model("north-mini-code-1-0", "chat", 256_000, 64_000, (*_TOOLS, "reasoning")),
    Model("c4ai-aya-expanse-32b", "chat", 128_000, 4_000),
    Model("embed-v5.0-pro", "embed", 128_000, dimensions=_EMBED_V5),
    Model("embed-v5.0-fast", "embed", 128_000, dimensions=_EMBED_V5),
    Model("embed-v4.0", "embed", 128_000, dimensions=_EMBED_V4),
    Model("embed-english-v3.0", "embed", 512, dimensions=(_V3_DIMENSION,)),
    Model("embed-english-light-v3.0", "embed", 512, dimensions=(_V3_LIGHT_DIMENSION,)),
    Model("embed-multilingual-v3.0", "embed", 512, dimensions=(_V3_DIMENSION,)),
    Model("embed-multilingual-light-v3.0", "embed", 512, dimensions=(_V3_LIGHT_DIMENSION,)),
    Model("rerank-v5.0-pro", "rerank", 32_768),
    Model("rerank-v5.0-fast", "rerank", 32_768),
    Model("rerank-v4.0-pro", "rerank", 32_768),
    Model("rerank-v4.0-fast", "rerank", 32_768),
    Model("rerank-v3.5", "rerank", 4_096),
    Model("rerank-english-v3.0", "rerank", 4_096),
    Model("rerank-multilingual-v3.0", "rerank", 4_096),
)
MODELS = {model.name: model for model in _ALL}
REMOVED = dict.fromkeys(("command", "command-light", "command-r", "command-r-plus"), "September 15, 2025")


def find(name: str) -> Model:
    """The model *name*.

    Raises:
        CohereError: 404 for an unknown or removed model.
    """
    if name in REMOVED:
        raise CohereError(404, f"model '{name}' was removed on {REMOVED[name]}. Please use another model.")
    model = MODELS.get(name)
    if model is None:
        raise CohereError(
            404,
            f"model '{name[:128]}' not found, make sure the correct model ID was used"
            " and that you have access to the model.",
        )
    return model


def find_for(endpoint: str, name: str) -> Model:
    """The model *name*, which must serve *endpoint*.

    Raises:
        CohereError: 404 for an unknown or removed model, 400 for one of another endpoint.
    """
    model = find(name)
    if model.endpoint != endpoint:
        raise invalid(f"model '{name}' is not supported by the {endpoint} API")
    return model


def describe(name: str) -> dict[str, Any]:
    """The answer of `GET /v1/models/{name}`."""
    return _description(find(name))


def page(query: dict[str, str]) -> dict[str, Any]:
    """The answer of `GET /v1/models` for a query of `page_size`, `page_token`, `endpoint`, `default_only`."""
    size = _page_size(query.get("page_size"))
    start = _offset(query.get("page_token"))
    endpoint = fields.choice(dict(query), "endpoint", _ENDPOINTS)
    default_only = query.get("default_only", "").lower() == "true"
    chosen = [model for model in _ALL if endpoint in {None, model.endpoint}]
    if default_only:
        chosen = [model for model in chosen if _is_default(model)]
    answer: dict[str, Any] = {"models": [_description(model) for model in chosen[start : start + size]]}
    if start + size < len(chosen):
        answer["next_page_token"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return answer


def _is_default(model: Model) -> bool:
    return next(other for other in _ALL if other.endpoint == model.endpoint) is model


def _page_size(text: str | None) -> int:
    if text is None:
        return _PAGE_SIZE_DEFAULT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= _PAGE_SIZE_MAX:
        raise invalid(f"page_size must be between 1 and {_PAGE_SIZE_MAX}")
    return int(text[:9])


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(token)[:9]))
    except (binascii.Error, ValueError) as error:
        raise invalid("page_token is not valid") from error


def _description(model: Model) -> dict[str, Any]:
    sampling = {"temperature": 0.3, "k": 0, "p": 0.75, "frequency_penalty": 0.0, "presence_penalty": 0.0}
    return {
        "name": model.name,
        "is_deprecated": False,
        "endpoints": [model.endpoint],
        "default_endpoints": [model.endpoint] if _is_default(model) else [],
        "finetuned": False,
        "context_length": model.context_tokens,
        "tokenizer_url": "",
        "features": list(model.features) or None,
        "sampling_defaults": {
            "chat": sampling,
            "rerank": {"max_tokens_per_doc": 4096},
        }.get(model.endpoint, {}),
    }
