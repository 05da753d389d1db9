"""Server-sent events, incrementally: chunks of bytes in, `data` payloads out.

The part of the WHATWG event stream format that Cohere uses, robust against any split or merge of chunks: LF, CRLF
and CR line ends, a byte order mark, comments, empty events, fields other than `data`, several `data` lines in one
event. The event's type stands inside Cohere's JSON too, so the `event` field is not needed.
"""

DONE = b"[DONE]"
BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event holds more bytes than allowed."""


class EventParser:
    """Cuts a byte stream into the `data` payloads of its events.

    Args:
        event_bytes_max: The most bytes one unfinished event may hold.
    """

    __slots__ = ("_data", "_data_bytes", "_event_bytes_max", "_pieces", "_pieces_bytes", "_skip_lf", "_started")

    def __init__(self, event_bytes_max: int) -> None:
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._event_bytes_max = event_bytes_max
        self._skip_lf = False
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Takes the next bytes and returns the payloads they complete, in order; often none.

        Raises:
            EventTooLarge: An event exceeds the bound.
        """
        if self._skip_lf and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skip_lf = False
        if b"\n" not in chunk and b"\r" not in chunk:
            # A long line in many chunks is put together once, not once a chunk.
            self._keep(chunk)
            return []
        buffer = b"".join((*self._pieces, chunk))
        self._pieces, self._pieces_bytes = [], 0
        if not self._started:
            buffer = buffer.removeprefix(BOM)
            self._started = True
        if b"\r" in buffer:
            # A CR at the very end may be half of a CRLF: it ends the line now, and a following LF is dropped.
            self._skip_lf = buffer.endswith(b"\r")
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = buffer.split(b"\n")
        self._keep(rest)
        payloads: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    payloads.append(b"\n".join(self._data) if len(self._data) > 1 else self._data[0])
                    self._data = []
                    self._data_bytes = 0
            elif line.startswith(b"data:"):
                data = line[6:] if line[5:6] == b" " else line[5:]
                if data:  # an event without data keeps the connection alive, and says nothing
                    self._take(data)
        return payloads

    def _keep(self, piece: bytes) -> None:
        self._pieces_bytes += len(piece)
        if self._pieces_bytes > self._event_bytes_max:
            raise EventTooLarge
        if piece:
            self._pieces.append(piece)

    def _take(self, data: bytes) -> None:
        self._data_bytes += len(data)
        if self._data_bytes > self._event_bytes_max:
            raise EventTooLarge
        self._data.append(data)
