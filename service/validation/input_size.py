"""How many input tokens Cohere could count for a request, at most, told from its bytes alone.

A byte-level tokenizer makes no token of less than one byte, so the bytes of a text bound its tokens. The
bytes of the whole message are taken, not those of the fields that reach the model: they are never fewer, no
field of the contract can be forgotten, and they cost 0.3 µs. In real text a token is three to five bytes.
"""

from collections.abc import Iterable

from cohort.v1.chat_pb2 import ChatRequest, ContentBlock
from cohort.v1.embed_pb2 import EmbedRequest
from cohort.v1.rerank_pb2 import RerankRequest

IMAGE_TOKENS_MAX = 13 * 256
"""As Cohere publishes it for Chat: 256 tokens a tile of 512 pixels, at most 3 x 4 tiles, and a preview.

It stands for the image in place of the bytes of its URL, in Chat whatever its `detail`, and in Embed, for
which Cohere publishes no number. A block of a kind younger than the contract counts as text and an image.
"""

PART_OVERHEAD_BYTES = 16
"""For the marks a prompt sets around each message, block, tool call, tool, document and input."""


def input_bytes(request: ChatRequest | EmbedRequest | RerankRequest) -> int:
    """Returns an upper bound of the input tokens of *request*, in bytes of UTF-8 and their equivalent.

    Rerank's bound is the query once and the documents: what the caller sends. A model that reads the query
    anew beside each document may bill it as often; a worst case in money has to multiply.
    """
    if isinstance(request, ChatRequest):
        return request.ByteSize() + _chat_surplus(request)
    if isinstance(request, EmbedRequest):
        return request.ByteSize() + _embed_surplus(request)
    return request.ByteSize()


def _chat_surplus(request: ChatRequest) -> int:
    parts = len(request.messages) + len(request.tools) + len(request.documents)
    surplus = 0
    for message in request.messages:
        content = message.content
        parts += len(content) + len(message.tool_calls)
        if content:
            surplus += _images_surplus(content)
    return surplus + PART_OVERHEAD_BYTES * parts


def _embed_surplus(request: EmbedRequest) -> int:
    parts = len(request.texts) + len(request.inputs)
    surplus = 0
    for url in request.images:
        surplus += IMAGE_TOKENS_MAX - len(url)
    for item in request.inputs:
        surplus += _images_surplus(item.content)
    return surplus + PART_OVERHEAD_BYTES * parts


def _images_surplus(blocks: Iterable[ContentBlock]) -> int:
    surplus = 0
    for block in blocks:
        if block.HasField("image_url"):
            surplus += IMAGE_TOKENS_MAX - block.ByteSize()
        elif block.HasField("other_json"):
            surplus += IMAGE_TOKENS_MAX
    return surplus
