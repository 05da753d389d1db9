"""One request of each endpoint family with every field set, so that coverage does not hang on chance."""

from cohort.v1.chat_pb2 import (
    ChatMessage,
    ChatRequest,
    Citation,
    CitationOptions,
    ContentBlock,
    Document,
    FunctionCall,
    FunctionDefinition,
    ImageUrl,
    ResponseFormat,
    Source,
    Thinking,
    Tool,
    ToolCall,
)
from cohort.v1.embed_pb2 import EmbedInput, EmbedRequest
from cohort.v1.rerank_pb2 import RelevantSpansOptions, RerankRequest

_OBJECT = '{"z": null, "a": 18446744073709551617, "n": [1.0, {}]}'
_IMAGE = ContentBlock(image_url=ImageUrl(url="data:image/png;base64,AA==", detail="low"))
_CITATION = Citation(
    start=1,
    end=3,
    text="it",
    sources=[
        Source(id="doc:0", document_json=_OBJECT),
        Source(id="call:0", tool_output_json=_OBJECT),
        Source(other_json='{"type": "new"}'),
    ],
    content_index=1,
    type="PLAN",
)

CHAT = ChatRequest(
    model="command-a-03-2025",
    messages=[
        ChatMessage(role="system", text="Be brief."),
        ChatMessage(role="user", content=[ContentBlock(text="What is it?"), _IMAGE]),
        ChatMessage(
            role="assistant",
            content=[ContentBlock(thinking="Hm"), ContentBlock(text="It"), ContentBlock(other_json='{"type": "new"}')],
            tool_calls=[ToolCall(id="call", type="function", function=FunctionCall(name="look", arguments="{}"))],
            tool_plan="Look.",
            citations=[_CITATION],
        ),
        ChatMessage(
            role="tool",
            tool_call_id="call",
            content=[
                ContentBlock(document=Document(id="doc:1", data_json=_OBJECT)),
                ContentBlock(document=Document(text="plain")),
            ],
        ),
    ],
    tools=[
        Tool(
            type="function",
            function=FunctionDefinition(name="look", description="Looks.", parameters_json=_OBJECT),
        )
    ],
    strict_tools=False,
    documents=[Document(text="plain"), Document(id="doc:2", text="named"), Document(data_json=_OBJECT)],
    citation_options=CitationOptions(mode="fast"),
    response_format=ResponseFormat(type="json_object", json_schema=_OBJECT),
    safety_mode="OFF",
    max_tokens=512,
    stop_sequences=["\n"],
    temperature=0.0,
    seed=2**64 - 1,
    frequency_penalty=0.1,
    presence_penalty=1.0,
    k=0,
    p=0.75,
    logprobs=False,
    tool_choice="NONE",
    thinking=Thinking(type="enabled", token_budget=500),
    priority=0,
)

EMBED = EmbedRequest(
    model="embed-v4.0",
    input_type="search_document",
    max_tokens=128,
    output_dimension=256,
    embedding_types=["int8", "float"],
    truncate="NONE",
    priority=1,
)
EMBEDS = [
    EmbedRequest(texts=["a", ""]),
    EmbedRequest(images=["data:image/png;base64,AA=="]),
    EmbedRequest(inputs=[EmbedInput(content=[ContentBlock(text="a"), ContentBlock(image_url=ImageUrl(url="data:"))])]),
]
for _embed in EMBEDS:
    _embed.MergeFrom(EMBED)

RERANK = RerankRequest(
    model="rerank-v4.0-pro",
    query="capital",
    documents=["Paris", "Rome"],
    top_n=1,
    max_tokens_per_doc=4096,
    relevant_spans=RelevantSpansOptions(mode="enabled", threshold=0.1, max_spans=3),
    priority=999,
)
