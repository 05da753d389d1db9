"""Hypothesis strategies for Cohere's JSON answers, as documented, with members nobody documented."""

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

from tests.conformance import json_values

Json: TypeAlias = st.SearchStrategy[Any]
Members: TypeAlias = tuple[dict[str, Json], dict[str, Json]]
"""The required and the optional members of an object."""

_DOCUMENTED = {
    name.casefold()
    for shape in (json_values.CHAT, json_values.EMBED, json_values.RERANK, *json_values.EVENTS.values())
    for name in json_values.names_of(shape)
} | {"delta", "prompt"}

words = st.text(max_size=12)
filled = st.text(min_size=1, max_size=12)
# Above 2^53 a double is not exact, and Cohere's counts are doubles in its own SDK.
counts = st.integers(0, 2**53) | st.integers(0, 2**20).map(lambda number: number / 4)
int32s = st.integers(-(2**31), 2**31 - 1)
places = st.integers(0, 2**31 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
json_values_any: Json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
json_objects: Json = st.dictionaries(words, json_values_any, max_size=3)
_unknown_names = st.text(st.sampled_from("xyzX_~/1é"), min_size=1, max_size=4) | st.sampled_from(("a/b", "~", ""))
_unknown = st.dictionaries(
    _unknown_names.filter(lambda name: name.casefold() not in _DOCUMENTED), json_values_any, max_size=1
)


@dataclass(frozen=True)
class Answers:
    """Strategies for whole answers.

    Attributes:
        odd: Whether members may also be missing, null, [] or "" where Cohere documents them as present, and
            blocks and sources of kinds unknown today may occur.
    """

    odd: bool

    def chats(self) -> Json:
        """POST /v2/chat."""
        return self._object(
            {
                "id": self._filled(),
                "finish_reason": st.sampled_from(("COMPLETE", "MAX_TOKENS", "TOOL_CALL", "ERROR", "NEW")),
                "message": self._message(),
            },
            {"usage": self._usage(), "logprobs": self._list(self._logprob())},
        )

    def events(self, kind: str) -> Json:
        """An event of a stream, of the documented type *kind*."""
        tool_calls = self._object({"function": self._object({"arguments": words})})
        end: Members = ({"index": places}, {})
        events: dict[str, Members] = {
            "message-start": self._message_start(),
            "content-start": self._part({"content": self._block()}),
            "content-delta": self._part({"content": self._piece()}, {"logprobs": self._logprob()}),
            "content-end": end,
            "tool-plan-delta": ({"delta": self._delta({"tool_plan": words})}, {}),
            "tool-call-start": self._part({"tool_calls": self._tool_call()}),
            "tool-call-delta": self._part({"tool_calls": tool_calls}),
            "tool-call-end": end,
            "citation-start": self._part({"citations": self._citation()}),
            "citation-end": end,
            "message-end": self._message_end(),
            "debug": ({"prompt": self._filled()}, {}),
        }
        return self._typed(kind, *events[kind])

    def reranks(self) -> Json:
        """POST /v2/rerank."""
        span = _with_unknown(st.fixed_dictionaries({"start": places, "end": places, "score": numbers}))
        result = st.fixed_dictionaries(
            {"index": places, "relevance_score": numbers}, optional={"relevant_spans": self._list(span)}
        )
        results = st.lists(_with_unknown(result), min_size=0 if self.odd else 1, max_size=3)
        return self._object({"id": self._filled(), "results": results}, {"meta": self._meta()})

    def embeds(self, types: Sequence[str]) -> Json:
        """POST /v2/embed, with the vectors of *types*."""
        image = self._object(
            {"width": places, "height": places, "format": words, "bit_depth": places},
        )
        return st.integers(0, 5).flatmap(
            lambda dimension: self._object(
                {"id": self._filled()},
                {
                    "texts": st.lists(words, max_size=3),
                    "images": self._list(image),
                    "response_type": st.just("embeddings_by_type"),
                    "meta": self._meta(),
                },
                present={"embeddings": _with_unknown(_embeddings(types, dimension))},
            )
        )

    def _object(
        self, required: dict[str, Json], optional: dict[str, Json] | None = None, present: dict[str, Json] | None = None
    ) -> Json:
        """An object with members unknown to anyone, in any order; if odd, documented ones may be missing or null."""
        optional = optional or {}
        if self.odd:
            optional = {name: st.none() | value for name, value in {**required, **optional}.items()}
            required = {}
        return _with_unknown(st.fixed_dictionaries({**required, **(present or {})}, optional=optional))

    def _typed(self, kind: str, required: dict[str, Json], optional: dict[str, Json]) -> Json:
        return self._object(required, optional, {"type": st.just(kind)})

    def _filled(self) -> Json:
        return words if self.odd else filled

    def _list(self, items: Json) -> Json:
        return st.lists(items, max_size=2)

    def _delta(self, required: dict[str, Json], optional: dict[str, Json] | None = None) -> Json:
        return self._object({"message": self._object(required, optional)})

    def _part(self, message: dict[str, Json], optional: dict[str, Json] | None = None) -> Members:
        return {"index": places, "delta": self._delta(message)}, optional or {}

    def _message_start(self) -> Members:
        nothing: Json = st.just([])
        empty = {"content": nothing, "tool_plan": st.just(""), "tool_calls": nothing, "citations": nothing}
        return {"id": self._filled(), "delta": self._delta({"role": st.just("assistant")}, empty)}, {}

    def _message_end(self) -> Members:
        delta = self._object(
            {"finish_reason": self._filled()}, {"usage": self._usage(), "error": words, "error_type": words}
        )
        return {"delta": delta}, {"id": self._filled()}

    def _piece(self) -> Json:
        if self.odd:
            return self._object({"text": words, "thinking": words})
        return st.sampled_from(("text", "thinking")).flatmap(lambda kind: self._object({kind: words}))

    def _message(self) -> Json:
        blocks = self._list(self._block())
        return self._object(
            {"role": st.just("assistant")},
            {
                "content": blocks | words if self.odd else blocks,
                "tool_calls": self._list(self._tool_call()),
                "tool_plan": words,
                "citations": self._list(self._citation()),
            },
        )

    def _block(self) -> Json:
        known = [self._typed(kind, {kind: words}, {}) for kind in ("text", "thinking")]
        return st.one_of(*known, *([json_objects, self._typed("new", {"new": words}, {})] if self.odd else []))

    def _tool_call(self) -> Json:
        function = self._object({"name": words, "arguments": words})
        return self._object({"id": self._filled(), "type": st.just("function")}, {"function": function})

    def _citation(self) -> Json:
        return self._object(
            {"start": places, "end": places, "text": words},
            {
                "sources": self._list(self._source()),
                "content_index": places,
                "type": st.sampled_from(("TEXT_CONTENT", "PLAN", "NEW")),
            },
        )

    def _source(self) -> Json:
        known = [
            self._typed(kind, {member: json_objects}, {"id": self._filled()})
            for kind, member in (("document", "document"), ("tool", "tool_output"))
        ]
        return st.one_of(*known, *([json_objects, self._typed("new", {"new": words}, {})] if self.odd else []))

    def _logprob(self) -> Json:
        return self._object(
            {"token_ids": st.lists(int32s, max_size=3)},
            {"text": words, "logprobs": st.lists(numbers, max_size=3)},
        )

    def _usage(self) -> Json:
        units = dict.fromkeys(("input_tokens", "output_tokens", "search_units", "classifications"), counts)
        rare = dict.fromkeys(("images", "image_tokens", "text_tokens", "pages"), counts)
        return self._object(
            {},
            {"billed_units": self._object({}, {**units, **rare}), "tokens": self._tokens(), "cached_tokens": counts},
        )

    def _tokens(self) -> Json:
        names = ("input_tokens", "output_tokens", "image_tokens", "reasoning_tokens")
        return self._object({}, dict.fromkeys(names, counts))

    def _meta(self) -> Json:
        units = ("input_tokens", "output_tokens", "search_units", "classifications")
        rare = ("images", "image_tokens", "text_tokens", "pages")
        version = self._object(
            {"version": self._filled()}, {"is_deprecated": st.booleans(), "is_experimental": st.booleans()}
        )
        return self._object(
            {},
            {
                "api_version": version,
                "billed_units": self._object({}, dict.fromkeys((*units, *rare), counts)),
                "tokens": self._tokens(),
                "cached_tokens": counts,
                "warnings": st.lists(words, max_size=2),
            },
        )


def in_base64(vectors: Sequence[Sequence[float]]) -> list[str]:
    """Vectors as Cohere documents base64: the float32 bytes, one after the other."""
    return [base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() for vector in vectors]


def _with_unknown(objects: Json) -> Json:
    return st.tuples(objects, _unknown).map(lambda both: {**both[0], **both[1]})


def _embeddings(types: Sequence[str], dimension: int) -> Json:
    elements = {
        "float": float32s,
        "int8": st.integers(-128, 127),
        "uint8": st.integers(0, 255),
        "binary": st.integers(-128, 127),
        "ubinary": st.integers(0, 255),
    }
    vectors: dict[str, Json] = {
        name: st.lists(st.lists(elements[name], min_size=dimension, max_size=dimension), min_size=1, max_size=3)
        for name in types
        if name != "base64"
    }
    if "base64" in types:
        floats = st.lists(st.lists(float32s, min_size=dimension, max_size=dimension), min_size=1, max_size=3)
        vectors["base64"] = floats.map(in_base64)
    return st.fixed_dictionaries(vectors)
