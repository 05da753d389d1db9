"""What is refused of Embed and of Rerank."""

from tests.unit.validation.chat_rows import MODEL_ROWS
from tests.unit.validation.message_rows import PNG, image_of
from tests.unit.validation.tables import Row

_IMAGE_12_MIB = image_of(12 * 2**20)


def _input(block: dict[str, object]) -> dict[str, object]:
    return {"texts": [], "inputs": [{"content": [{"text": "a"}]}, {"content": [{"text": "b"}, block]}]}


EMBED_ROWS = [
    *MODEL_ROWS,
    Row("no input type", {"input_type": ""}, [("input_type", "REQUIRED")]),
    *(
        Row(f"the input type {word!r}", {"input_type": word}, [("input_type", "UNKNOWN_VALUE")])
        for word in ["document", "SEARCH_QUERY", "search_query "]
    ),
    Row("no input", {"texts": []}, [("texts", "REQUIRED")]),
    Row("texts and images", {"images": [PNG]}, [("images", "CONFLICT")]),
    Row("texts and inputs", {"inputs": [{"content": [{"text": "a"}]}]}, [("inputs", "CONFLICT")]),
    Row(
        "texts, images and inputs",
        {"images": [PNG], "inputs": [{"content": [{"text": "a"}]}]},
        [("images", "CONFLICT"), ("inputs", "CONFLICT")],
    ),
    Row("97 texts", {"texts": ["a"] * 97}, [("texts", "TOO_MANY")]),
    Row("97 inputs", {"texts": [], "inputs": [{"content": [{"text": "a"}]}] * 97}, [("inputs", "TOO_MANY")]),
    Row("97 images", {"texts": [], "images": [PNG] * 97}, [("images", "TOO_MANY")]),
    Row(
        "97 texts and an image",
        {"texts": ["a"] * 97, "images": [PNG]},
        [("texts", "TOO_MANY"), ("images", "CONFLICT")],
    ),
    *(
        Row(f"an image {what}", {"texts": [], "images": [PNG, url]}, [("images[1]", reason)])
        for what, url, reason in [
            ("of nothing", "", "REQUIRED"),
            ("on the web", "https://example.com/a.png", "INVALID_URL"),
            ("of broken base64", "data:image/png;base64,!!!!", "INVALID_URL"),
        ]
    ),
    Row("images of 24 MiB", {"texts": [], "images": [_IMAGE_12_MIB] * 2}, [("images", "TOO_LARGE")]),
    Row(
        "inputs of 24 MiB",
        {"texts": [], "inputs": [{"content": [{"image_url": {"url": _IMAGE_12_MIB}}] * 2}]},
        [("inputs", "TOO_LARGE")],
    ),
    Row("an input of nothing", {"texts": [], "inputs": [{}]}, [("inputs[0].content", "REQUIRED")]),
    Row("an input of an empty block", _input({}), [("inputs[1].content[1]", "REQUIRED")]),
    *(
        Row(f"an input of {kind}", _input({kind: value}), [(f"inputs[1].content[1].{kind}", "NOT_ALLOWED")])
        for kind, value in [
            ("thinking", "a"),
            ("document", {"data_json": "{}"}),
            ("other_json", '{"type":"audio"}'),
        ]
    ),
    Row(
        "an input of an image on the web",
        _input({"image_url": {"url": "https://example.com/a.png"}}),
        [("inputs[1].content[1].image_url.url", "INVALID_URL")],
    ),
    Row("max_tokens 0", {"max_tokens": 0}, [("max_tokens", "OUT_OF_RANGE")]),
    Row("an output dimension of 0", {"output_dimension": 0}, [("output_dimension", "OUT_OF_RANGE")]),
    Row(
        "an output dimension of 8193",
        {"output_dimension": 8_193},
        [("output_dimension", "OUT_OF_RANGE")],
    ),
    *(
        Row(
            f"the embedding type {word!r}",
            {"embedding_types": ["float", word]},
            [("embedding_types[1]", "UNKNOWN_VALUE")],
        )
        for word in ["float16", "FLOAT", ""]
    ),
    Row(
        "an embedding type twice",
        {"embedding_types": ["int8", "float", "int8"]},
        [("embedding_types[2]", "DUPLICATE")],
    ),
    Row("truncate in small letters", {"truncate": "end"}, [("truncate", "UNKNOWN_VALUE")]),
    Row("truncate in the middle", {"truncate": "MIDDLE"}, [("truncate", "UNKNOWN_VALUE")]),
    Row("priority below 0", {"priority": -1}, [("priority", "OUT_OF_RANGE")]),
    Row("priority above 999", {"priority": 1000}, [("priority", "OUT_OF_RANGE")]),
]


def _spans(members: dict[str, object]) -> dict[str, object]:
    return {"relevant_spans": {"mode": "enabled"} | members}


RERANK_ROWS = [
    *MODEL_ROWS,
    Row("no query", {"query": ""}, [("query", "REQUIRED")]),
    Row("no documents", {"documents": []}, [("documents", "REQUIRED")]),
    Row("10,001 documents", {"documents": ["a"] * 10_001}, [("documents", "TOO_MANY")]),
    Row("100,000 documents", {"documents": [""] * 100_000}, [("documents", "TOO_MANY")]),
    Row("top_n 0", {"top_n": 0}, [("top_n", "OUT_OF_RANGE")]),
    Row("top_n -1", {"top_n": -1}, [("top_n", "OUT_OF_RANGE")]),
    Row("max_tokens_per_doc 0", {"max_tokens_per_doc": 0}, [("max_tokens_per_doc", "OUT_OF_RANGE")]),
    Row("priority below 0", {"priority": -1}, [("priority", "OUT_OF_RANGE")]),
    Row("priority above 999", {"priority": 1000}, [("priority", "OUT_OF_RANGE")]),
    Row("spans of no mode", {"relevant_spans": {}}, [("relevant_spans.mode", "REQUIRED")]),
    Row("spans of another mode", _spans({"mode": "on"}), [("relevant_spans.mode", "UNKNOWN_VALUE")]),
    *(
        Row(f"a threshold of {value}", _spans({"threshold": value}), [("relevant_spans.threshold", reason)])
        for value, reason in [
            (-0.1, "OUT_OF_RANGE"),
            (1.1, "OUT_OF_RANGE"),
            ("NaN", "NOT_FINITE"),
            ("Infinity", "NOT_FINITE"),
        ]
    ),
    Row("max_spans 0", _spans({"max_spans": 0}), [("relevant_spans.max_spans", "OUT_OF_RANGE")]),
]
