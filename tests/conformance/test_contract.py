"""Every member of Cohere's v2 chat, embed and rerank has a home in the contract, and the contract says what it means.

The table below is the list of Cohere's members: each object maps a member to its home in the descriptors,
and, if the member is an object itself, to that object. The SDK's own types show that the list is complete.
"""

import re
import typing
from collections.abc import Iterator, Mapping

import pydantic
from cohere.v2.client import V2Client

from cohort.v1 import chat_pb2, embed_pb2, gateway_service_pb2, rerank_pb2, usage_pb2

FILES = [chat_pb2, embed_pb2, gateway_service_pb2, rerank_pb2, usage_pb2]
POOL = gateway_service_pb2.DESCRIPTOR.pool

Home = str | tuple[str, "Members"]
Members = Mapping[str, Home]


def at(message: str, names: str, /, **others: Home) -> Members:
    """Members that have a field of their own name in *message*, and others."""
    return {**{name: f"{message}.{name}" for name in names.split()}, **others}


def nested(home: str, members: Members) -> Home:
    return home, members


DATA_DOCUMENT = at("Document", "id", data="Document.data_json")
IMAGE_URL = at("ImageUrl", "url detail")
BLOCK = at(
    "ContentBlock",
    "text thinking",
    type="ContentBlock.block",
    image_url=nested("ContentBlock.image_url", IMAGE_URL),
    document=nested("ContentBlock.document", DATA_DOCUMENT),
)
EMBED_BLOCK = at(
    "ContentBlock", "text", type="ContentBlock.block", image_url=nested("ContentBlock.image_url", at("ImageUrl", "url"))
)
ANSWER_BLOCK = at("ContentBlock", "text thinking", type="ContentBlock.block")
TOOL_CALL = at("ToolCall", "id type", function=nested("ToolCall.function", at("FunctionCall", "name arguments")))
FUNCTION = at("FunctionDefinition", "name description", parameters="FunctionDefinition.parameters_json")
SOURCE = at(
    "Source", "id", type="Source.source", document="Source.document_json", tool_output="Source.tool_output_json"
)
CITATION = at("Citation", "start end text content_index type", sources=nested("Citation.sources", SOURCE))
ANSWER = at(
    "ChatMessage",
    "role tool_plan",
    content=nested("ChatMessage.content", ANSWER_BLOCK),
    tool_calls=nested("ChatMessage.tool_calls", TOOL_CALL),
    citations=nested("ChatMessage.citations", CITATION),
)
MESSAGE = {**ANSWER, "content": nested("ChatMessage.content", BLOCK), "tool_call_id": "ChatMessage.tool_call_id"}
LOGPROBS = at("LogprobItem", "text token_ids logprobs")
CHAT_BILLED = at("BilledUnits", "input_tokens output_tokens search_units classifications")
# Cohere answers with image_tokens and reasoning_tokens, though neither its schema nor the SDK knows them.
CHAT_TOKENS = at("TokenCounts", "input_tokens output_tokens image_tokens reasoning_tokens")
USAGE = at(
    "Usage",
    "cached_tokens",
    billed_units=nested("Usage.billed_units", CHAT_BILLED),
    tokens=nested("Usage.tokens", CHAT_TOKENS),
)
META_BILLED = {**CHAT_BILLED, **at("BilledUnits", "images image_tokens text_tokens pages")}
META = at(
    "ApiMeta",
    "cached_tokens warnings",
    api_version=nested("ApiMeta.api_version", at("ApiVersion", "version is_deprecated is_experimental")),
    billed_units=nested("ApiMeta.billed_units", META_BILLED),
    tokens=nested("ApiMeta.tokens", at("TokenCounts", "input_tokens output_tokens")),
)
EMBEDDINGS = at("Embeddings", "int8 uint8 binary ubinary base64", float="Embeddings.floats")
SPANS = nested("RerankResult.relevant_spans", at("RelevantSpan", "start end score"))


def event(message: str, index: str = "index", /, **others: Home) -> Members:
    """A stream event, whose discriminator is the name of the oneof's member."""
    return {**at(message, index), "type": "ChatStreamResponse.event", **others}


def delta(message: str, /, **members: Home) -> Home:
    """The event's nested delta.message, which is the event itself here."""
    return nested(message, {"message": nested(message, members)})


OBJECTS: Mapping[str, Members] = {
    "chat.request": at(
        "ChatRequest",
        "model strict_tools safety_mode max_tokens stop_sequences temperature seed frequency_penalty "
        "presence_penalty k p logprobs tool_choice priority",
        stream="GatewayService.ChatStream",
        messages=nested("ChatRequest.messages", MESSAGE),
        tools=nested("ChatRequest.tools", at("Tool", "type", function=nested("Tool.function", FUNCTION))),
        documents=nested("ChatRequest.documents", DATA_DOCUMENT),
        citation_options=nested("ChatRequest.citation_options", at("CitationOptions", "mode")),
        response_format=nested("ChatRequest.response_format", at("ResponseFormat", "type json_schema")),
        thinking=nested("ChatRequest.thinking", at("Thinking", "type token_budget")),
    ),
    "chat.response": at(
        "ChatResponse",
        "id finish_reason",
        message=nested("ChatResponse.message", ANSWER),
        usage=nested("ChatResponse.usage", USAGE),
        logprobs=nested("ChatResponse.logprobs", LOGPROBS),
    ),
    "stream.message-start": event("MessageStart", "id", delta=delta("MessageStart", role="MessageStart.role")),
    "stream.content-start": event(
        "ContentStart", delta=delta("ContentStart", content=nested("ContentStart.content", ANSWER_BLOCK))
    ),
    "stream.content-delta": event(
        "ContentDelta",
        delta=delta("ContentDelta", content=nested("ContentDelta.delta", at("ContentDelta", "text thinking"))),
        logprobs=nested("ContentDelta.logprobs", LOGPROBS),
    ),
    "stream.content-end": event("ContentEnd"),
    "stream.tool-plan-delta": event(
        "ToolPlanDelta", "", delta=delta("ToolPlanDelta", tool_plan="ToolPlanDelta.tool_plan")
    ),
    "stream.tool-call-start": event(
        "ToolCallStart", delta=delta("ToolCallStart", tool_calls=nested("ToolCallStart.tool_call", TOOL_CALL))
    ),
    "stream.tool-call-delta": event(
        "ToolCallDelta",
        delta=delta(
            "ToolCallDelta",
            tool_calls=nested("ToolCallDelta", {"function": nested("ToolCallDelta", at("ToolCallDelta", "arguments"))}),
        ),
    ),
    "stream.tool-call-end": event("ToolCallEnd"),
    "stream.citation-start": event(
        "CitationStart", delta=delta("CitationStart", citations=nested("CitationStart.citation", CITATION))
    ),
    "stream.citation-end": event("CitationEnd"),
    # Cohere answers with error_type, though neither its schema nor the SDK knows it.
    "stream.message-end": event(
        "MessageEnd",
        "id",
        delta=nested(
            "MessageEnd", at("MessageEnd", "finish_reason error error_type", usage=nested("MessageEnd.usage", USAGE))
        ),
    ),
    "stream.debug": event("Debug", "prompt"),
    "embed.request": at(
        "EmbedRequest",
        "model input_type texts images max_tokens output_dimension embedding_types truncate priority",
        inputs=nested("EmbedRequest.inputs", {"content": nested("EmbedInput.content", EMBED_BLOCK)}),
    ),
    "embed.response": at(
        "EmbedResponse",
        "id texts response_type",
        embeddings=nested("EmbedResponse.embeddings", EMBEDDINGS),
        images=nested("EmbedResponse.images", at("ImageInfo", "width height format bit_depth")),
        meta=nested("EmbedResponse.meta", META),
    ),
    "rerank.request": at(
        "RerankRequest",
        "model query documents top_n max_tokens_per_doc priority",
        relevant_spans=nested("RerankRequest.relevant_spans", at("RelevantSpansOptions", "mode threshold max_spans")),
    ),
    "rerank.response": at(
        "RerankResponse",
        "id",
        results=nested("RerankResponse.results", at("RerankResult", "index relevance_score", relevant_spans=SPANS)),
        meta=nested("RerankResponse.meta", META),
    ),
}

# Fields that stand for no member of Cohere's: Cohort's own, and what keeps members and kinds unknown to it.
OWN = re.compile(
    r"\.(extra_json|other_json|receipt)$|^(Receipt|Money|FloatVector)\."
    r"|^(ChatMessage|Document)\.text$"  # the string that Cohere takes in place of an array or object
    r"|^ChatStreamResponse\.\w+$"  # the events; each is the `type` of one
)


def homes(members: Members, place: str) -> Iterator[tuple[str, str]]:
    """Yields the full name of each member in Cohere's JSON, and its home."""
    for name, home in members.items():
        path, below = (home, {}) if isinstance(home, str) else home
        yield f"{place}.{name}", path
        yield from homes(below, f"{place}.{name}")


LISTED = dict(pair for place, members in OBJECTS.items() for pair in homes(members, place))


def exists(path: str) -> bool:
    """Whether *path* is a message, a field, a oneof or an rpc of the contract."""
    owner, _, name = path.partition(".")
    if owner == "GatewayService":
        return name in POOL.FindServiceByName(f"cohort.v1.{owner}").methods_by_name
    try:
        message = POOL.FindMessageTypeByName(f"cohort.v1.{owner}")
    except KeyError:
        return False
    return not name or name in message.fields_by_name or name in message.oneofs_by_name


def sdk_members(annotation: object, place: str) -> Iterator[str]:
    """Yields the full name of each member that the SDK's types know below *annotation*."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        hints = typing.get_type_hints(annotation)
        for name, field in annotation.model_fields.items():
            path = f"{place}.{field.alias or name}"
            yield path
            yield from sdk_members(hints[name], path)
    elif typing.get_origin(annotation) is not dict:  # a free-form object is one JSON text here
        for argument in typing.get_args(annotation):
            yield from sdk_members(argument, place)


def sdk_listed() -> set[str]:
    listed: set[str] = set()
    for endpoint in ("chat", "embed", "rerank"):
        hints = typing.get_type_hints(getattr(V2Client, endpoint))
        listed.update(sdk_members(hints.pop("return"), f"{endpoint}.response"))
        for name in hints.keys() - {"request_options"}:
            listed.add(f"{endpoint}.request.{name}")
            listed.update(sdk_members(hints[name], f"{endpoint}.request.{name}"))
    (events,) = typing.get_args(typing.get_type_hints(V2Client.chat_stream)["return"])
    for kind in typing.get_args(events):
        (name,) = typing.get_args(typing.get_type_hints(kind)["type"])
        listed.update(sdk_members(kind, f"stream.{name}"))
    return listed


def fields() -> set[str]:
    """The name of each field of the contract, behind the name of its message."""
    messages = [message for file in FILES for message in file.DESCRIPTOR.message_types_by_name.values()]
    return {f"{message.name}.{field.name}" for message in messages for field in message.fields}


def test_every_member_has_a_home_in_the_contract() -> None:
    covered = {member for member, home in LISTED.items() if exists(home)}
    print(f"\nfields covered / fields listed: {len(covered)} / {len(LISTED)}")

    assert LISTED.keys() - covered == set()


def test_the_list_holds_every_member_that_the_sdk_knows() -> None:
    known = sdk_listed()
    print(f"\nmembers known to the SDK: {len(known)}, all listed; beyond them: {sorted(LISTED.keys() - known)}")

    assert known - LISTED.keys() == set()


def test_every_field_stands_for_a_member_or_is_our_own() -> None:
    strays = fields() - set(LISTED.values())

    assert {stray for stray in strays if not OWN.search(stray)} == set()
