"""What is Cohere's to judge, or at its bound, and so passes."""

from tests.unit.validation.chat_rows import DEPTH_32
from tests.unit.validation.message_rows import CALL, PNG, image_of
from tests.unit.validation.tables import Members

_ANSWERED_CALL = [
    {"role": "user", "text": "What is the weather?"},
    {"role": "assistant", "tool_plan": "I will look it up.", "tool_calls": [CALL]},
    {
        "role": "tool",
        "tool_call_id": "c",
        "content": [{"document": {"id": "0", "data_json": '{"t": 20}'}}, {"text": "warm"}],
    },
    {
        "role": "assistant",
        "content": [{"thinking": "20 degrees"}, {"text": "It is 20 degrees."}],
        "citations": [
            {
                "start": 6,
                "end": 8,
                "text": "20",
                "type": "TEXT_CONTENT",
                "sources": [{"id": "c:0", "tool_output_json": '{"t": 20}'}, {"document_json": "{}"}],
            }
        ],
    },
    {"role": "user", "text": "And tomorrow?"},
]


def _user(**message: object) -> Members:
    return {"messages": [{"role": "user", **message}]}


def _assistant(**message: object) -> Members:
    return {"messages": [{"role": "assistant", **message}]}


PASSING_CHATS: dict[str, Members] = {
    "one line": {},
    "a model of 200 characters": {"model": "m" * 200},
    "a model with a space inside": {"model": "my model"},
    "a tool call, its answer and its citation": {"messages": _ANSWERED_CALL},
    "numbers at their lower bounds": {
        "temperature": 0,
        "p": 0.01,
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "k": 0,
        "max_tokens": 1,
        "priority": 0,
        "seed": 0,
    },
    "numbers at their upper bounds": {
        "temperature": 1,
        "p": 0.99,
        "frequency_penalty": 1,
        "presence_penalty": 1,
        "k": 500,
        "max_tokens": 2**31 - 1,
        "priority": 999,
        "seed": 2**64 - 1,
        "stop_sequences": ["a", "b", "", "d", "e"],
    },
    "a temperature of minus zero": {"temperature": -0.0},
    "a denormal temperature": {"temperature": 5e-324},
    "an empty text": _user(text=""),
    "an empty block of text": _user(content=[{"text": ""}]),
    "NUL, bidi and a combining letter in a text": _user(text="a\x00\u202eb\u0301"),
    "a text of 1 MB without a space": _user(text="a" * 2**20),
    "words Cohere may add": {
        "safety_mode": "SOMETIMES",
        "tool_choice": "x" * 64,
        "citation_options": {"mode": "fast"},
    },
    "citation options of nothing": {"citation_options": {}},
    "a block of a kind younger than the contract": _user(content=[{"other_json": '{"type":"audio","n":1}'}]),
    "a younger block with a huge number": _user(content=[{"other_json": '{"type":"a","n":' + "9" * 300 + "}"}]),
    "an image on the web": _user(content=[{"image_url": {"url": "https://example.com/a.png?b#c"}}]),
    "an image at a URL of 8,192 characters": _user(
        content=[{"image_url": {"url": "https://example.com/" + "a" * (8_192 - 20)}}]
    ),
    "an image with a detail": _user(content=[{"image_url": {"url": PNG, "detail": "ultra"}}]),
    "a scheme in capitals": _user(content=[{"image_url": {"url": "HTTPS://example.com"}}]),
    "an image with a parameter": _user(
        content=[{"image_url": {"url": "Data:image/svg+xml;charset=utf-8;base64,iVBORw0KGgo="}}]
    ),
    "20 images": _user(content=[{"image_url": {"url": PNG}}] * 20),
    "an image of exactly 20 MiB": _user(content=[{"image_url": {"url": image_of(20 * 2**20)}}]),
    "an assistant that only plans": _assistant(tool_plan=""),
    "an assistant that only calls": _assistant(tool_calls=[CALL]),
    "arguments that are not JSON": _assistant(
        tool_calls=[{"id": "c", "function": {"name": "no such-tool", "arguments": "{"}}]
    ),
    "documents of the same id": {"documents": [{"id": "a", "data_json": "{}"}, {"id": "a", "data_json": "{}"}]},
    "a document of an empty text": {"documents": [{"text": ""}]},
    "JSON of depth 32": {"documents": [{"data_json": DEPTH_32}]},
    "JSON with white space around it": {"documents": [{"data_json": ' \n{"a": "\\u0000"}\t'}]},
    "a tool named with every kind of letter": {
        "tools": [{"type": "function", "function": {"name": "_aZ09", "parameters_json": "{}"}}]
    },
    "a schema that refers to itself": {
        "tools": [{"function": {"name": "f", "parameters_json": '{"$ref": "#", "description": null}'}}]
    },
    "a thinking budget without a type": {"thinking": {"token_budget": 1}},
    "thinking that is off": {"thinking": {"type": "disabled"}},
    "an answer in JSON": {"response_format": {"type": "json_object"}},
    "an answer by a schema": {"response_format": {"type": "json_object", "json_schema": "{}"}},
    "an answer in text": {"response_format": {"type": "text"}},
}

PASSING_EMBEDS: dict[str, Members] = {
    "one text": {},
    "96 texts, some empty": {"texts": ["", "a"] * 48},
    "every embedding type": {"embedding_types": ["float", "int8", "uint8", "binary", "ubinary", "base64"]},
    "an image": {"input_type": "image", "texts": [], "images": [PNG]},
    "mixed inputs": {"texts": [], "inputs": [{"content": [{"text": "a"}, {"image_url": {"url": PNG}}]}] * 96},
    "numbers at their bounds": {
        "max_tokens": 1,
        "output_dimension": 8_192,
        "truncate": "NONE",
        "priority": 999,
    },
    "numbers at their other bounds": {"output_dimension": 1, "priority": 0, "truncate": "NONE"},
}

PASSING_RERANKS: dict[str, Members] = {
    "two documents": {},
    "10,000 documents, all empty": {"documents": [""] * 10_000},
    "more asked for than given": {"top_n": 1000, "max_tokens_per_doc": 1, "priority": 0},
    "spans": {"relevant_spans": {"mode": "enabled", "threshold": 0, "max_spans": 1}},
    "no spans": {"relevant_spans": {"mode": "disabled", "threshold": 1}},
}
