"""A request → the arguments a user of Cohere's SDK would write for it, in the SDK's own classes.

Where the SDK has no class (blocks of kinds unknown to it, options left out that it requires) a dict stands,
which it sends as it is.
"""

import json
from collections.abc import Iterable
from typing import Any

from cohere import types
from google.protobuf.message import Message

from cohort.v1.chat_pb2 import ChatMessage, ChatRequest, Citation, ContentBlock, Document, Source, Tool, ToolCall
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest


def chat_arguments(request: ChatRequest) -> dict[str, Any]:
    arguments = _present(request)
    arguments["messages"] = [_message(message) for message in request.messages]
    if request.tools:
        arguments["tools"] = [_tool(tool) for tool in request.tools]
    if request.documents:
        arguments["documents"] = [_document_or_text(document) for document in request.documents]
    if request.HasField("citation_options"):
        arguments["citation_options"] = types.CitationOptions(**_present(request.citation_options))
    if request.HasField("response_format"):
        arguments["response_format"] = _response_format(request)
    if request.HasField("thinking"):
        thinking = _present(request.thinking)
        arguments["thinking"] = types.Thinking(**thinking) if "type" in thinking else thinking
    return arguments


def embed_arguments(request: EmbedRequest) -> dict[str, Any]:
    arguments = _present(request)
    if request.inputs:
        arguments["inputs"] = [
            types.EmbedInput(content=[_embed_content(block) for block in value.content]) for value in request.inputs
        ]
    return arguments


def rerank_arguments(request: RerankRequest) -> dict[str, Any]:
    arguments = _present(request)
    if request.HasField("relevant_spans"):
        arguments["relevant_spans"] = types.RerankRelevantSpans(**_present(request.relevant_spans))
    return arguments


def _present(message: Message, *names: str) -> dict[str, Any]:
    """The scalar fields that are set, all or those of *names*."""
    return {
        field.name: list(value) if field.is_repeated else value
        for field, value in message.ListFields()
        if field.message_type is None and (not names or field.name in names)
    }


def _message(message: ChatMessage) -> Any:
    content: Any = None
    if message.HasField("text"):
        content = message.text
    elif message.content:
        content = [_BLOCKS[message.role](block) for block in message.content]
    members = {} if content is None else {"content": content}
    if message.role == "tool":
        members["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        members["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.citations:
        members["citations"] = [_citation(citation) for citation in message.citations]
    members |= _present(message, "tool_plan")
    if _holds_dict(members):
        return {"role": message.role, **members}
    return _MESSAGES[message.role](**members)


def _holds_dict(members: dict[str, Any]) -> bool:
    """Whether something in *members* has no class of the SDK's, so that its message has none either."""
    content = members.get("content")
    blocks: Iterable[Any] = content if isinstance(content, list) else []
    citations: Iterable[Any] = members.get("citations", [])
    return any(isinstance(item, dict) for item in (*blocks, *citations))


def _user_block(block: ContentBlock) -> Any:
    match block.WhichOneof("block"):
        case "text":
            return types.TextContent(text=block.text)
        case "image_url":
            return types.ImageUrlContent(image_url=types.ImageUrl(**_present(block.image_url)))
    return json.loads(block.other_json)


def _system_block(block: ContentBlock) -> Any:
    if block.WhichOneof("block") == "text":
        return types.TextSystemMessageV2ContentOneItem(text=block.text)
    return json.loads(block.other_json)


def _assistant_block(block: ContentBlock) -> Any:
    match block.WhichOneof("block"):
        case "text":
            return types.TextAssistantMessageV2ContentOneItem(text=block.text)
        case "thinking":
            return types.ThinkingAssistantMessageV2ContentOneItem(thinking=block.thinking)
    return json.loads(block.other_json)


def _tool_block(block: ContentBlock) -> Any:
    match block.WhichOneof("block"):
        case "text":
            return types.TextToolContent(text=block.text)
        case "document":
            return types.DocumentToolContent(document=_document(block.document))
    return json.loads(block.other_json)


def _embed_content(block: ContentBlock) -> Any:
    if block.WhichOneof("block") == "text":
        return types.TextEmbedContent(text=block.text)
    return types.ImageUrlEmbedContent(image_url=types.EmbedImageUrl(url=block.image_url.url))


def _document_or_text(document: Document) -> Any:
    plain = document.WhichOneof("body") == "text" and not document.HasField("id")
    return document.text if plain else _document(document)


def _document(document: Document) -> types.Document:
    is_text = document.WhichOneof("body") == "text"
    data = {"text": document.text} if is_text else json.loads(document.data_json)
    return types.Document(data=data, **_present(document, "id"))


def _tool(tool: Tool) -> types.ToolV2:
    function = types.ToolV2Function(
        parameters=json.loads(tool.function.parameters_json), **_present(tool.function, "name", "description")
    )
    return types.ToolV2(function=function)


def _tool_call(tool_call: ToolCall) -> types.ToolCallV2:
    if not tool_call.HasField("function"):
        return types.ToolCallV2(id=tool_call.id)
    function = tool_call.function
    return types.ToolCallV2(
        id=tool_call.id,
        function=types.ToolCallV2Function(name=function.name, arguments=function.arguments),
    )


def _citation(citation: Citation) -> Any:
    members: dict[str, Any] = {
        "start": citation.start,
        "end": citation.end,
        "text": citation.text,
        **_present(citation, "content_index", "type"),
    }
    if citation.sources:
        members["sources"] = [_source(source) for source in citation.sources]
    if any(isinstance(source, dict) for source in members.get("sources", [])):
        return members
    return types.Citation(**members)


def _source(source: Source) -> Any:
    match source.WhichOneof("source"):
        case "document_json":
            return types.DocumentSource(document=json.loads(source.document_json), **_present(source, "id"))
        case "tool_output_json":
            return types.ToolSource(tool_output=json.loads(source.tool_output_json), **_present(source, "id"))
    return json.loads(source.other_json)


def _response_format(request: ChatRequest) -> Any:
    response_format = request.response_format
    if response_format.type == "text":
        return types.TextResponseFormatV2()
    if response_format.HasField("json_schema"):
        return types.JsonObjectResponseFormatV2(json_schema=json.loads(response_format.json_schema))
    return types.JsonObjectResponseFormatV2()


_BLOCKS = {"user": _user_block, "system": _system_block, "assistant": _assistant_block, "tool": _tool_block}
_MESSAGES: dict[str, Any] = {
    "user": types.UserChatMessageV2,
    "system": types.SystemChatMessageV2,
    "assistant": types.AssistantChatMessageV2,
    "tool": types.ToolChatMessageV2,
}
