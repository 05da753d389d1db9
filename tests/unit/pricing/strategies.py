"""Requests to draw that the sandbox answers, of texts and JSON that are worth more tokens than they look."""

import json
from typing import Any

from hypothesis import strategies as st

from clients.sandbox.models import MODELS
from cohort.v1.chat_pb2 import ChatRequest
from tests.unit.sandbox.pictures import PNG_URI
from tests.unit.validation.tables import Members, chat, embed, rerank

_PIECES = [
    "a ", "the quick brown fox ", "Gr\u00f6\u00dfe ", "\u65e5\u672c\u8a9e", "\n", '"', "\\", "\x01", ",", ":", "1e15 ",
    " ", "\U0001d160", "\u0958", "e\u0301", "\ufdfa", "\U0001f600", "<p>", "_",
]  # fmt: skip
TEXTS = st.builds(lambda piece, count: piece * count, st.sampled_from(_PIECES), st.integers(1, 120)) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40
)
_NUMBERS = st.sampled_from(["1e15", "1E9", "-2e3", "5E0", "0.5", "17", "1e-7", "9" * 30, "-0.0"])
_ARRAYS = st.builds(lambda number, count: "[" + ",".join([number] * count) + "]", _NUMBERS, st.integers(0, 200))
_QUOTED = st.builds(lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), TEXTS, st.booleans())
OBJECTS = st.builds(lambda key, value: f"{{{key}:{value}}}", _QUOTED, _NUMBERS | _ARRAYS | _QUOTED)


def _members(required: dict[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Members]:
    return st.fixed_dictionaries(required, optional=optional)


def _said(role: str, content: st.SearchStrategy[Members]) -> st.SearchStrategy[Members]:
    return st.fixed_dictionaries({"role": st.just(role)} | {"content": st.lists(content, min_size=1, max_size=3)})


_TEXT_BLOCK = st.fixed_dictionaries({"text": TEXTS})
_DOCUMENT = _members({"data_json": OBJECTS}, id=TEXTS) | _members({"text": TEXTS}, id=TEXTS)
_CALL = st.fixed_dictionaries({"id": TEXTS, "function": st.fixed_dictionaries({"name": TEXTS, "arguments": TEXTS})})
_MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "text": TEXTS}),
    _said("user", _TEXT_BLOCK),
    _said("assistant", _TEXT_BLOCK | st.fixed_dictionaries({"thinking": TEXTS})),
    _members({"role": st.just("assistant"), "tool_calls": st.lists(_CALL, min_size=1, max_size=2)}, tool_plan=TEXTS),
    st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": TEXTS, "text": TEXTS}),
    st.fixed_dictionaries(
        {
            "role": st.just("tool"),
            "tool_call_id": TEXTS,
            "content": st.lists(st.fixed_dictionaries({"document": _DOCUMENT}), min_size=1, max_size=2),
        }
    ),
)
_PICTURES = _said(
    "user",
    st.fixed_dictionaries(
        {
            "image_url": _members(
                {"url": st.sampled_from([PNG_URI, "https://example.com/a.png"])},
                detail=st.sampled_from(["auto", "low", "high"]),
            )
        }
    ),
)
_TOOLS = st.lists(
    st.fixed_dictionaries(
        {
            "function": _members(
                {"name": st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True), "parameters_json": OBJECTS},
                description=TEXTS,
            )
        }
    ),
    max_size=2,
)
_SETTINGS = {
    "stop_sequences": st.lists(TEXTS, max_size=2),
    "logprobs": st.booleans(),
    "citation_options": st.fixed_dictionaries({"mode": st.sampled_from(["FAST", "ACCURATE", "OFF"])}),
    "thinking": _members({"type": st.sampled_from(["enabled", "disabled"])}, token_budget=st.integers(1, 40)),
}
_MAX_TOKENS = st.integers(1, 60) | st.integers(1, 100_000)
_CHAT_MODELS = sorted(name for name, model in MODELS.items() if model.endpoint == "chat")
_VISION_MODELS = sorted(name for name, model in MODELS.items() if model.vision)


def _chats(models: list[str], messages: st.SearchStrategy[Members]) -> st.SearchStrategy[ChatRequest]:
    base = {
        "model": st.sampled_from(models),
        "messages": st.lists(messages, min_size=1, max_size=4),
        "max_tokens": _MAX_TOKENS,
    }
    formats = _members({"type": st.just("json_object")}, json_schema=OBJECTS)
    grounded = _members(base, **_SETTINGS, tools=_TOOLS, documents=st.lists(_DOCUMENT, max_size=3))
    return (grounded | _members(base, **_SETTINGS, response_format=formats)).map(chat)


CHATS = _chats(_CHAT_MODELS, _MESSAGES) | _chats(_VISION_MODELS, _MESSAGES | _PICTURES)

_LONG_TEXTS = st.builds(lambda text, count: text * count, TEXTS, st.integers(1, 8))
_INPUTS = st.fixed_dictionaries(
    {"content": st.lists(_TEXT_BLOCK | st.just({"image_url": {"url": PNG_URI}}), min_size=1, max_size=3)}
)
_EMBED_MODELS = sorted(name for name, model in MODELS.items() if model.endpoint == "embed")
_MIXING_MODELS = [name for name in _EMBED_MODELS if MODELS[name].generation >= 4]


def _embeds(
    models: list[str], texts: list[str] | st.SearchStrategy[list[str]], **inputs: Any
) -> st.SearchStrategy[Any]:
    base = {
        "model": st.sampled_from(models),
        "input_type": st.just("search_document"),
        "texts": texts,
    }
    return _members(base | inputs, max_tokens=st.integers(1, 600), truncate=st.sampled_from(["START", "END"])).map(
        embed
    )


EMBEDS = st.one_of(
    _embeds(_EMBED_MODELS, st.lists(_LONG_TEXTS, min_size=1, max_size=6)),
    _embeds(_EMBED_MODELS, st.just([]), images=st.just([PNG_URI])),
    _embeds(_MIXING_MODELS, st.just([]), images=st.lists(st.just(PNG_URI), min_size=1, max_size=5)),
    _embeds(_MIXING_MODELS, st.just([]), inputs=st.lists(_INPUTS, min_size=1, max_size=4)),
)

_RERANK_MODELS = sorted(name for name, model in MODELS.items() if model.endpoint == "rerank")
RERANKS = _members(
    {
        "model": st.sampled_from(_RERANK_MODELS),
        "query": TEXTS,
        "documents": st.lists(_LONG_TEXTS, min_size=1, max_size=8)
        | st.builds(lambda text, count: [text] * count, st.sampled_from(_PIECES), st.integers(90, 220)),
    },
    max_tokens_per_doc=st.integers(1, 10_000),
    top_n=st.integers(1, 3),
).map(rerank)
