"""What requests are made of in more than one endpoint: content blocks and documents."""

from typing import Any

from clients.codec.json_text import spliced
from clients.codec.objects import plain
from cohort.v1.chat_pb2 import ContentBlock, Document


def block_object(block: ContentBlock) -> Any:
    """The JSON of a content block: `type` is the name of the field that is set.

    Raises:
        ValueError: Its JSON text may not be spliced.
    """
    match block.WhichOneof("block"):
        case "text":
            return {"type": "text", "text": block.text}
        case "image_url":
            return {"type": "image_url", "image_url": plain(block.image_url)}
        case "thinking":
            return {"type": "thinking", "thinking": block.thinking}
        case "document":
            return {"type": "document", "document": document_object(block.document)}
        case "other_json":
            return spliced(block.other_json)
        case _:
            return {}


def document_object(document: Document) -> dict[str, Any]:
    """The JSON of a document where Cohere takes objects only: beside an id, and in a content block.

    Cohere has one form for both, `{"id"?, "data": {…}}`, and its own examples put a plain document's text
    under `text`; hence `Document.text` becomes `"data": {"text": …}` here.

    Raises:
        ValueError: Its JSON text may not be spliced.
    """
    members: dict[str, Any] = {"id": document.id} if document.HasField("id") else {}
    match document.WhichOneof("body"):
        case "text":
            members["data"] = {"text": document.text}
        case "data_json":
            members["data"] = spliced(document.data_json)
    return members
