"""What is refused of a chat outside its messages."""

from collections.abc import Callable

from tests.unit.validation.tables import Members, Row

DEPTH_32 = '{"a":' * 31 + "{}" + "}" * 31
DEPTH_33 = '{"a":' * 32 + "{}" + "}" * 32
SMUGGLED = '{"a":1}, "stream": true'


def _tool(**function: object) -> dict[str, object]:
    return {"tools": [{"function": {"name": "f", "parameters_json": "{}"} | function}]}


def _words(path: str, members: Callable[[str], Members]) -> list[Row]:
    return [
        Row(f"{path} of 65 characters", members("X" * 65), [(path, "TOO_LARGE")]),
        Row(f"{path} with a line end", members("STRICT\r\n"), [(path, "INVALID_CHARACTERS")]),
        Row(f"{path} that is not ASCII", members("\u0405TRICT"), [(path, "INVALID_CHARACTERS")]),
    ]


def _json(path: str, members: Callable[[str], Members]) -> list[Row]:
    return [
        Row(f"{path} that {what}", members(text), [(path, "INVALID_JSON")])
        for what, text in [
            ("is not JSON", "{'a': 1}"),
            ("is cut", '{"a":'),
            ("is a list", "[1]"),
            ("is a string", '"{}"'),
            ("is null", "null"),
            ("is of depth 33", DEPTH_33),
            ("smuggles a member", SMUGGLED),
            ("holds two objects", "{}{}"),
            ("ends in NUL", "{}\x00"),
            ("holds NaN", '{"a": NaN}'),
            ("holds a comment", '{"a": 1 /* one */}'),
            ("holds half a surrogate pair", '{"a": "\\ud800"}'),
        ]
    ]


def _numbers(field: str, low: float, high: float, below: float, above: float) -> list[Row]:
    refused: list[tuple[object, str]] = [
        (below, "OUT_OF_RANGE"),
        (above, "OUT_OF_RANGE"),
        ("NaN", "NOT_FINITE"),
        ("Infinity", "NOT_FINITE"),
        ("-Infinity", "NOT_FINITE"),
    ]
    return [
        Row(f"{field} {value}, not {low} to {high}", {field: value}, [(field, reason)]) for value, reason in refused
    ]


MODEL_ROWS = [
    Row("no model", {"model": ""}, [("model", "REQUIRED")]),
    *(
        Row(f"model {what}", {"model": model}, [("model", "INVALID_CHARACTERS")])
        for what, model in [
            ("with a leading space", " command-a"),
            ("with a trailing space", "command-a "),
            ("that is a space", " "),
            ("with a line end", "command-a\n"),
            ("with a tab", "\tcommand-a"),
            ("with NUL", "command\x00-a"),
            ("with DEL", "command\x7f-a"),
            ("with a Cyrillic look-alike", "command-\u0430"),
            ("with a zero-width space", "command-a\u200b"),
            ("with a right-to-left override", "command-\u202ea"),
            ("with a full-width letter", "command-\uff41"),
        ]
    ),
    Row("model of 201 bytes", {"model": "m" * 201}, [("model", "TOO_LARGE")]),
    Row(
        "model of 201 bytes and a letter that is not ASCII",
        {"model": "m" * 200 + "\u00e9"},
        [("model", "TOO_LARGE"), ("model", "INVALID_CHARACTERS")],
    ),
]

NUMBER_ROWS = [
    *_numbers("temperature", 0, 1, -0.001, 1.001),
    *_numbers("p", 0.01, 0.99, 0.0099, 0.991),
    *_numbers("frequency_penalty", 0, 1, -5e-324, 1.5),
    *_numbers("presence_penalty", 0, 1, -1e300, 1.1),
    Row("k -1", {"k": -1}, [("k", "OUT_OF_RANGE")]),
    Row("k 501", {"k": 501}, [("k", "OUT_OF_RANGE")]),
    Row("max_tokens 0", {"max_tokens": 0}, [("max_tokens", "OUT_OF_RANGE")]),
    Row("max_tokens of -2^31", {"max_tokens": -(2**31)}, [("max_tokens", "OUT_OF_RANGE")]),
    Row("priority -1", {"priority": -1}, [("priority", "OUT_OF_RANGE")]),
    Row("priority 1000", {"priority": 1000}, [("priority", "OUT_OF_RANGE")]),
    Row("six stop sequences", {"stop_sequences": list("abcdef")}, [("stop_sequences", "TOO_MANY")]),
]

WORD_ROWS = [
    *_words("safety_mode", lambda word: {"safety_mode": word}),
    *_words("tool_choice", lambda word: {"tool_choice": word}),
    *_words("citation_options.mode", lambda word: {"citation_options": {"mode": word}}),
]

THINKING_ROWS = [
    Row("thinking of no type and no budget", {"thinking": {}}, [("thinking.type", "REQUIRED")]),
    Row("thinking of another type", {"thinking": {"type": "auto"}}, [("thinking.type", "UNKNOWN_VALUE")]),
    Row("thinking in capitals", {"thinking": {"type": "ENABLED"}}, [("thinking.type", "UNKNOWN_VALUE")]),
    Row(
        "thinking with a budget of 0",
        {"thinking": {"type": "enabled", "token_budget": 0}},
        [("thinking.token_budget", "OUT_OF_RANGE")],
    ),
    Row(
        "thinking with a budget below 0",
        {"thinking": {"token_budget": -1}},
        [("thinking.token_budget", "OUT_OF_RANGE")],
    ),
]

TOOL_ROWS = [
    Row("a tool of no function", {"tools": [{}]}, [("tools[0].function", "REQUIRED")]),
    Row(
        "a tool of another type",
        {"tools": [{"type": "web_search", "function": {"name": "f", "parameters_json": "{}"}}]},
        [("tools[0].type", "UNKNOWN_VALUE")],
    ),
    Row(
        "a tool of no name and no parameters",
        {"tools": [{"type": "function", "function": {}}]},
        [("tools[0].function.name", "REQUIRED"), ("tools[0].function.parameters_json", "REQUIRED")],
    ),
    *(
        Row(f"the tool name {name!r}", _tool(name=name), [("tools[0].function.name", "INVALID_CHARACTERS")])
        for name in ["1st", "get-weather", "get weather", "f\n", "f.g", "wetter\u00fc", "\uff46", "f\x00"]
    ),
]

JSON_ROWS = [
    *_json("tools[0].function.parameters_json", lambda text: _tool(parameters_json=text)),
    *_json("documents[0].data_json", lambda text: {"documents": [{"data_json": text}]}),
    *_json(
        "response_format.json_schema",
        lambda text: {"response_format": {"type": "json_object", "json_schema": text}},
    ),
    Row(
        "an empty schema",
        {"response_format": {"type": "json_object", "json_schema": ""}},
        [("response_format.json_schema", "INVALID_JSON")],
    ),
    Row(
        "a document of empty JSON",
        {"documents": [{"data_json": ""}]},
        [("documents[0].data_json", "INVALID_JSON")],
    ),
    Row("a document of nothing", {"documents": [{"text": "a"}, {"id": "b"}]}, [("documents[1]", "REQUIRED")]),
]

RESPONSE_FORMAT_ROWS = [
    Row("a response format of no type", {"response_format": {}}, [("response_format.type", "REQUIRED")]),
    Row(
        "a response format of another type",
        {"response_format": {"type": "json_schema"}},
        [("response_format.type", "UNKNOWN_VALUE")],
    ),
    Row(
        "a schema for text",
        {"response_format": {"type": "text", "json_schema": "{}"}},
        [("response_format.json_schema", "NOT_ALLOWED")],
    ),
    Row(
        "a response format with tools",
        {"response_format": {"type": "json_object"}, **_tool()},
        [("response_format", "CONFLICT")],
    ),
    Row(
        "a response format with documents",
        {"response_format": {"type": "text"}, "documents": [{"text": "a"}]},
        [("response_format", "CONFLICT")],
    ),
]

CHAT_ROWS = [
    Row("no messages", {"messages": []}, [("messages", "REQUIRED")]),
    Row(
        "nothing at all",
        {"model": "", "messages": []},
        [("model", "REQUIRED"), ("messages", "REQUIRED")],
    ),
    *MODEL_ROWS,
    *NUMBER_ROWS,
    *WORD_ROWS,
    *THINKING_ROWS,
    *TOOL_ROWS,
    *JSON_ROWS,
    *RESPONSE_FORMAT_ROWS,
]
