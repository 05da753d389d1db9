"""What is refused of the messages of a chat."""

from base64 import b64encode

from tests.unit.validation.chat_rows import DEPTH_33, SMUGGLED
from tests.unit.validation.tables import Members, Row

PNG = "data:image/png;base64,iVBORw0KGgo="
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def image_of(size_bytes: int) -> str:
    return "data:image/png;base64," + b64encode(bytes(size_bytes)).decode()


def _row(what: str, message: Members, *found: tuple[str, str]) -> Row:
    paths = [(f"messages[0].{field}", reason) for field, reason in found]
    return Row(what, {"messages": [message]}, paths)


def _block(what: str, role: str, block: dict[str, object], *found: tuple[str, str]) -> Row:
    message: dict[str, object] = {"role": role, "content": [{"text": "a"}, block]}
    if role == "tool":
        message["tool_call_id"] = "c"
    return _row(what, message, *((f"content[1]{field}", reason) for field, reason in found))


def _image(what: str, url: str, reason: str) -> Row:
    return _block(f"an image {what}", "user", {"image_url": {"url": url}}, (".image_url.url", reason))


ROLE_ROWS = [
    _row("no role", {"text": "a"}, ("role", "REQUIRED")),
    *(
        _row(f"the role {role!r}", {"role": role, "text": "a"}, ("role", "UNKNOWN_VALUE"))
        for role in ["developer", "User", "user ", "chatbot", "function", "us\u0435r"]
    ),
    *(
        _row(f"text and content of {role}", message, ("content", "CONFLICT"))
        for role, message in [
            ("user", {"role": "user", "text": "a", "content": [{"text": "a"}]}),
            ("an empty text", {"role": "user", "text": "", "content": [{"text": "a"}]}),
            ("system", {"role": "system", "text": "a", "content": [{"text": "a"}]}),
            ("assistant", {"role": "assistant", "text": "a", "content": [{"thinking": "a"}]}),
            ("tool", {"role": "tool", "tool_call_id": "c", "text": "a", "content": [{"text": "a"}]}),
        ]
    ),
    *(
        _row(f"neither text nor content of {role}", {"role": role}, ("text", "REQUIRED"))
        for role in ["user", "system", "assistant"]
    ),
    _row("neither text nor content of tool", {"role": "tool", "tool_call_id": "c"}, ("text", "REQUIRED")),
    _row(
        "citations alone",
        {"role": "assistant", "citations": [{"text": "a"}]},
        ("text", "REQUIRED"),
    ),
    _row("a tool's answer to no call", {"role": "tool", "text": "a"}, ("tool_call_id", "REQUIRED")),
    *(
        _row(f"{field} of {role}", {"role": role, "text": "a", field: value}, (field, "NOT_ALLOWED"))
        for field, value, roles in [
            ("tool_call_id", "c", ["assistant", "system", "user"]),
            ("tool_calls", [CALL], ["system", "user"]),
            ("tool_plan", "a", ["system", "user"]),
            ("citations", [{"text": "a"}], ["system", "user"]),
        ]
        for role in roles
    ),
    _row(
        "everything of an assistant's in a tool's answer",
        {
            "role": "tool",
            "tool_call_id": "c",
            "text": "a",
            "tool_calls": [CALL],
            "tool_plan": "a",
            "citations": [{"text": "a"}],
        },
        ("citations", "NOT_ALLOWED"),
        ("tool_calls", "NOT_ALLOWED"),
        ("tool_plan", "NOT_ALLOWED"),
    ),
]

BLOCK_ROWS = [
    *(_block(f"an empty block of {role}", role, {}, ("", "REQUIRED")) for role in ["user", "assistant"]),
    *(
        _block(f"{kind} in {role}", role, {kind: value}, (f".{kind}", "NOT_ALLOWED"))
        for kind, value, roles in [
            ("thinking", "a", ["user", "system", "tool"]),
            ("image_url", {"url": PNG}, ["assistant", "system", "tool"]),
            ("document", {"data_json": "{}"}, ["user", "assistant", "system"]),
        ]
        for role in roles
    ),
    _block(
        "an empty document block",
        "tool",
        {"document": {"id": "a"}},
        (".document", "REQUIRED"),
    ),
    *(
        _block(
            f"a document {what}",
            "tool",
            {"document": {"data_json": text}},
            (".document.data_json", "INVALID_JSON"),
        )
        for what, text in [("of a list", "[]"), ("too deep", DEPTH_33), ("that smuggles", SMUGGLED)]
    ),
    *(
        _block(f"another block {what}", "user", {"other_json": text}, (".other_json", reason))
        for what, text, reason in [
            ("that is not JSON", "audio", "INVALID_JSON"),
            ("that is a list", '[{"type":"audio"}]', "INVALID_JSON"),
            ("that is too deep", DEPTH_33, "INVALID_JSON"),
            ("that smuggles", '{"type":"audio"}, {"type":"text"}', "INVALID_JSON"),
            ("of no type", "{}", "INVALID_JSON"),
            ("of an empty type", '{"type":""}', "INVALID_JSON"),
            ("of a number as type", '{"type":1}', "INVALID_JSON"),
            ("of two types", '{"type":"image_url","type":"audio"}', "INVALID_JSON"),
            ("of two types in two cases", '{"type":"audio","Type":"image_url"}', "INVALID_JSON"),
            ("of an escaped second type", '{"type":"audio","\\u0074ype":"image_url"}', "INVALID_JSON"),
            ("that is an image", '{"type":"image_url","image_url":{"url":"https://a/b.png"}}', "NOT_ALLOWED"),
            ("that is an image in capitals", '{"type":"IMAGE_URL"}', "NOT_ALLOWED"),
            ("that is a text", '{"type":"text","text":"a"}', "NOT_ALLOWED"),
            ("that is a document", '{"type":"document","n":1e5}', "NOT_ALLOWED"),
        ]
    ),
    Row(
        "the blocks of a message of an unknown role",
        {
            "messages": [
                {
                    "role": "developer",
                    "content": [
                        *({"text": "a"}, {"thinking": "a"}, {"document": {"data_json": "{}"}}),
                        *({"image_url": {"url": "https://example.com"}}, {"other_json": '{"type":"audio"}'}),
                        {"document": {}},
                    ],
                }
            ]
        },
        [("messages[0].role", "UNKNOWN_VALUE"), ("messages[0].content[5].document", "REQUIRED")],
    ),
    Row(
        "an empty block in a message of an unknown role",
        {"messages": [{"role": "developer", "content": [{}]}]},
        [("messages[0].role", "UNKNOWN_VALUE"), ("messages[0].content[0]", "REQUIRED")],
    ),
]

IMAGE_ROWS = [
    _image("of no URL", "", "REQUIRED"),
    *(
        _image(what, url, "INVALID_URL")
        for what, url in [
            ("over http", "http://example.com/a.png"),
            ("on a file", "file:///etc/passwd"),
            ("over gopher", "gopher://example.com/a"),
            ("of a path", "/a.png"),
            ("of no host", "https://"),
            ("of a host of none", "https:///a.png"),
            ("of a URL with a space", "https://example.com/a b.png"),
            ("of a URL with a line end", "https://example.com/a.png\r\nHost: b"),
            ("of a URL with NUL", "https://example.com/a\x00.png"),
            ("of a URL after a space", " https://example.com/a.png"),
            ("of a URL that is too long", "https://example.com/" + "a" * (8_193 - 20)),
            ("that is no image", "data:text/plain;base64,aGk="),
            ("that is not base64", "data:image/png,abc"),
            ("of no bytes", "data:image/png;base64,"),
            ("of broken base64", "data:image/png;base64,!!!!"),
            ("of cut base64", "data:image/png;base64,iVBOR"),
            ("of base64 with a line end", "data:image/png;base64,iVBO\nRw0KGgo="),
            ("of base64 for URLs", "data:image/png;base64,-_-_"),
            ("of base64 beyond ASCII", "data:image/png;base64,iVBO\u00e9w=="),
            ("of base64 with text behind", PNG + " and more"),
        ]
    ),
    _block(
        "an image of a long detail",
        "user",
        {"image_url": {"url": PNG, "detail": "x" * 65}},
        (".image_url.detail", "TOO_LARGE"),
    ),
    Row(
        "21 images in three messages",
        {"messages": [{"role": "user", "content": [{"image_url": {"url": PNG}}] * 7}] * 3},
        [("messages", "TOO_MANY")],
    ),
    Row(
        "21 images elsewhere",
        {"messages": [{"role": "user", "content": [{"image_url": {"url": "https://a/b"}}] * 21}]},
        [("messages", "TOO_MANY")],
    ),
    Row(
        "an image of 20 MiB and a byte",
        {"messages": [{"role": "user", "content": [{"image_url": {"url": image_of(20 * 2**20 + 1)}}]}]},
        [("messages", "TOO_LARGE")],
    ),
    Row(
        "three images of 7 MiB",
        {"messages": [{"role": "user", "content": [{"image_url": {"url": image_of(7 * 2**20)}}]}] * 3},
        [("messages", "TOO_LARGE")],
    ),
]

CALL_ROWS = [
    _row(
        "a tool call of nothing",
        {"role": "assistant", "tool_calls": [{}]},
        ("tool_calls[0].id", "REQUIRED"),
        ("tool_calls[0].function", "REQUIRED"),
    ),
    _row(
        "a tool call of no name and another type",
        {"role": "assistant", "tool_calls": [CALL, {"id": "d", "type": "code", "function": {}}]},
        ("tool_calls[1].type", "UNKNOWN_VALUE"),
        ("tool_calls[1].function.name", "REQUIRED"),
    ),
    _row(
        "a citation of a source of nothing",
        {"role": "assistant", "text": "a", "citations": [{"sources": [{"id": "d"}]}]},
        ("citations[0].sources[0]", "REQUIRED"),
    ),
    *(
        _row(
            f"a citation of a {kind} that is not JSON",
            {"role": "assistant", "text": "a", "citations": [{"sources": [{kind: SMUGGLED}]}]},
            (f"citations[0].sources[0].{kind}", "INVALID_JSON"),
        )
        for kind in ["document_json", "tool_output_json", "other_json"]
    ),
    _row(
        "a citation of a long type",
        {"role": "assistant", "text": "a", "citations": [{"type": "X" * 65}]},
        ("citations[0].type", "TOO_LARGE"),
    ),
]

MESSAGE_ROWS = [*ROLE_ROWS, *BLOCK_ROWS, *IMAGE_ROWS, *CALL_ROWS]
