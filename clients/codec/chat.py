"""Chat: `ChatRequest` → the JSON of POST /v2/chat, and its JSON answer → `ChatResponse`."""

from typing import Any, Final

import orjson

from clients.codec import content, objects
from clients.codec.filling import TEXT, VALUE, Extra, Path, Table, each, fill, listed, parsed
from clients.codec.json_text import spliced
from clients.codec.objects import Converters, object_of, plain
from clients.codec.parts import LOGPROB_ITEM, TOOL_CALL, fill_block, fill_citation
from clients.codec.usage import USAGE
from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Citation,
    Document,
    FunctionCall,
    Source,
    Tool,
    ToolCall,
)


def encode(request: ChatRequest, *, stream: bool) -> bytes:
    """The body of the HTTP request: what Cohere's SDK would send for the same arguments.

    Args:
        request: Valid, with `max_tokens` filled in. It is not changed.
        stream: Whether Cohere is to answer in events.

    Returns:
        JSON in UTF-8. Free-form JSON stands in it as the caller wrote it.

    Raises:
        ValueError: A JSON text is not one object, or too deep; validation should have refused it.
    """
    members = object_of(request, _REQUEST)
    members["stream"] = stream
    return orjson.dumps(members)


def decode(body: bytes, response: ChatResponse) -> None:
    """Fills *response* from the body of Cohere's answer.

    Args:
        body: JSON in UTF-8, of status 200.
        response: Empty.

    Raises:
        MalformedAnswer: It is not JSON, or a member has another type than Cohere documents.
    """
    fill(parsed(body), response, _RESPONSE, response.extra_json, ())


def _message(message: ChatMessage) -> dict[str, Any]:
    members = object_of(message, _MESSAGE)
    if "text" in members:
        members["content"] = members.pop("text")
    return members


def _document(document: Document) -> Any:
    if document.WhichOneof("body") == "text" and not document.HasField("id"):
        return document.text
    return content.document_object(document)


def _tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", **object_of(tool, {"function": _function_definition})}


def _tool_call(tool_call: ToolCall) -> dict[str, Any]:
    return {"type": "function", **object_of(tool_call, {"function": _function_call})}


def _function_call(function: FunctionCall) -> dict[str, Any]:
    # A call without arguments has arguments "", and Cohere's own answers spell that out.
    return {"name": function.name, "arguments": function.arguments}


def _citation(citation: Citation) -> dict[str, Any]:
    # Zero is a place like any other, and protobuf does not list it as set.
    return {"start": 0, "end": 0, "text": "", **object_of(citation, _CITATION)}


def _source(source: Source) -> Any:
    members: dict[str, Any] = {"id": source.id} if source.id else {}
    match source.WhichOneof("source"):
        case "document_json":
            return {"type": "document", **members, "document": spliced(source.document_json)}
        case "tool_output_json":
            return {"type": "tool", **members, "tool_output": spliced(source.tool_output_json)}
        case "other_json":
            return spliced(source.other_json)
        case _:
            return members


def _function_definition(function: Any) -> dict[str, Any]:
    members = object_of(function, {"parameters_json": spliced})
    if "parameters_json" in members:
        members["parameters"] = members.pop("parameters_json")
    return members


def _response_format(response_format: Any) -> dict[str, Any]:
    return object_of(response_format, {"json_schema": spliced})


_CITATION: Final[Converters] = {"sources": objects.each(_source)}
_MESSAGE: Final[Converters] = {
    "content": objects.each(content.block_object),
    "tool_calls": objects.each(_tool_call),
    "citations": objects.each(_citation),
}
_REQUEST: Final[Converters] = {
    "messages": objects.each(_message),
    "tools": objects.each(_tool),
    "documents": objects.each(_document),
    "citation_options": plain,
    "response_format": _response_format,
    "stop_sequences": list,
    "thinking": plain,
}


def _fill_content(message: ChatMessage, value: Any, extra: Extra, path: Path) -> None:
    if type(value) is str:
        message.text = value
        return
    for index, item in enumerate(listed(value)):
        fill_block(message.content.add(), item, extra, (path, index))


def _fill_citations(message: ChatMessage, value: Any, extra: Extra, path: Path) -> None:
    for index, item in enumerate(listed(value)):
        fill_citation(message.citations.add(), item, extra, (path, index))


_ANSWER_MESSAGE: Final[Table] = {
    "role": TEXT,
    "content": _fill_content,
    "tool_calls": each("tool_calls", TOOL_CALL),
    "tool_plan": VALUE,
    "citations": _fill_citations,
}
_RESPONSE: Final[Table] = {
    "id": TEXT,
    "finish_reason": TEXT,
    "message": _ANSWER_MESSAGE,
    "usage": USAGE,
    "logprobs": each("logprobs", LOGPROB_ITEM),
}
