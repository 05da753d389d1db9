"""One exchange with Cohere, decoded: the answer filled in or passed on event by event, and its content named."""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from clients.codec import stream
from clients.errors import MalformedAnswer
from clients.slot import Slot
from clients.transport import Answer, Transport, cut_off, malformed
from cohort.v1.chat_pb2 import ChatMessage, ChatResponse, ChatStreamResponse
from service.books.content import ContentHasher
from service.call import Call
from service.drain import EventWriter
from service.offload import LARGE_BYTES, in_thread_if

R = TypeVar("R")


class Exchange:
    """Sends bodies to Cohere and decodes what comes back.

    Args:
        transport: To Cohere.
        hasher: Names answers in the records: a Chat's by its text, any other's by Cohere's JSON.
    """

    def __init__(self, transport: Transport, hasher: ContentHasher) -> None:
        self._transport = transport
        self._hasher = hasher

    async def post(
        self,
        call: Call,
        slot: Slot,
        path: str,
        body: bytes,
        decode: Callable[..., R],
        response: Message,
        large_bytes: int = LARGE_BYTES,
        **how: Any,
    ) -> R:
        """Fills *response* with the answer to one request.

        Args:
            call: Filled with what the answer's head tells, and with its content's name.
            slot: Leave to send.
            path: The endpoint's.
            body: What to send.
            decode: Fills a response from Cohere's JSON; called with *how*.
            response: What to fill; emptied first, for there may have been an attempt before.
            large_bytes: From which size on an answer is decoded in a thread.
            how: More for *decode*.

        Raises:
            UpstreamError: Anything but a complete and well-formed answer.
        """
        response.Clear()
        answer: Answer = await self._transport.post(slot, path, body)
        call.debug_trace_id, call.upstream_warning = answer.debug_trace_id, answer.warning
        large = len(answer.body) > large_bytes
        try:
            decoded, call.answer_content = await in_thread_if(large, self._decoded, answer.body, decode, response, how)
        except MalformedAnswer as error:
            raise malformed(error) from None
        return decoded

    async def stream(self, call: Call, slot: Slot, body: bytes, events: EventWriter, end: ChatStreamResponse) -> None:
        """Passes a stream's events on as they come, and fills *end* with the last one, unsent.

        Raises:
            UpstreamError: Anything but a complete and well-formed stream.
        """
        text = self._hasher.begin()
        async with self._transport.stream(slot, "/v2/chat", body) as answer:
            call.debug_trace_id, call.upstream_warning = answer.debug_trace_id, answer.warning
            async for payload in answer.payloads:
                event = ChatStreamResponse()
                try:
                    await in_thread_if(len(payload) > LARGE_BYTES, stream.decode_event, payload, event)
                except MalformedAnswer as error:
                    raise malformed(error) from None
                if event.HasField("message_end"):
                    end.CopyFrom(event)
                    break
                if event.HasField("content_delta"):
                    text.add(event.content_delta.text.encode())
                await events.write(event)
            if not end.HasField("message_end"):
                raise cut_off()
            call.answer_content = {"bytes": text.bytes, "hmac": text.hex}
            await answer.finish()

    def _decoded(
        self, body: bytes, decode: Callable[..., R], response: Message, how: dict[str, Any]
    ) -> tuple[R, dict[str, Any]]:
        decoded = decode(body, response, **how)
        content = _text_of(response.message).encode() if isinstance(response, ChatResponse) else body
        return decoded, {"bytes": len(content), "hmac": self._hasher.of(content)}


def _text_of(message: ChatMessage) -> str:
    """A Chat's answer as its reader sees it; a stream's deltas are the same text in pieces."""
    if message.HasField("text"):
        return message.text
    return "".join(block.text for block in message.content if block.HasField("text"))
