"""HTTP/2 as bytes, for what no HTTP/2 library would send. The few frames and headers that attacks are made of."""

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 7, 8, 11
FRAME_HEAD_BYTES = 9


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name: str, value: str) -> bytes:
    """A header, literal and never indexed, without Huffman code (RFC 7541 section 6.2.3)."""
    return b"\x10" + _string(name.encode()) + _string(value.encode())


def request_fields(rpc: str, *more: tuple[str, str]) -> bytes:
    """The header block of a gRPC request."""
    pseudo = ((":method", "POST"), (":scheme", "http"), (":path", rpc), (":authority", "cohort"))
    grpc = (("content-type", "application/grpc"), ("te", "trailers"))
    return b"".join(field(name, value) for name, value in (*pseudo, *grpc, *more))


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 127:
        return bytes((length,)) + text
    head, length = [127], length - 127
    while length >= 128:
        head.append(length % 128 + 128)
        length //= 128
    return bytes((*head, length)) + text


class Frames:
    """Takes bytes as they come and gives the frames in them."""

    def __init__(self) -> None:
        self._buffer = b""

    def take(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Gives (kind, flags, stream, payload) of each frame that is complete."""
        buffer = self._buffer + data
        start = 0
        while len(buffer) - start >= FRAME_HEAD_BYTES:
            end = start + FRAME_HEAD_BYTES + int.from_bytes(buffer[start : start + 3])
            if len(buffer) < end:
                break
            kind, flags, stream = struct.unpack_from(">BBI", buffer, start + 3)
            yield kind, flags, stream, buffer[start + FRAME_HEAD_BYTES : end]
            start = end
        self._buffer = buffer[start:]
