"""Faults on demand: what may go wrong, for which requests, and how often."""

from collections import deque
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

QUEUE_MAX = 1000

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]
Text = Annotated[str, Field(max_length=10_000)]
HeaderText = Annotated[str, Field(max_length=1000, pattern=r"^[ -~]*$")]
UsageFault = Literal["missing", "null", "negative", "nan", "fractional", "huge"]
PADDING_BYTES_MAX = 128 * 1024 * 1024


class Fault(BaseModel):
    """One way for an answer to go wrong; its fields combine freely.

    Every field says what it does in docs/sandbox.md. `None`, false and 0 mean: not this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Which requests meet it, and how many of them (null: every one until a reset).
    path: Text | None = None
    key: Text | None = None
    stream: bool | None = None
    times: Annotated[int, Field(ge=1)] | None = 1

    # Whether the work is billed; by default whenever it was done: always but with `status`.
    billed: bool | None = None

    # Time.
    latency_ms: Milliseconds = 0
    chunk_gap_ms: Milliseconds = 0
    silence: bool = False
    stall_after_events: Count | None = None

    # Another answer.
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    body: Literal["json", "html", "text", "empty"] = "json"
    message: Text = ""
    error_type: Text = ""
    retry_after: HeaderText | int | None = None
    headers: Annotated[dict[HeaderText, HeaderText], Field(max_length=20)] = {}

    # The connection.
    disconnect: bool = False
    reset: bool = False
    cut_after_bytes: Count | None = None
    cut_after_events: Count | None = None
    eof_after_events: Count | None = None

    # The shape on the wire.
    gzip: bool = False
    split_bytes: Annotated[int, Field(ge=1)] | None = None
    merge: bool = False
    crlf: bool = False
    comments: bool = False
    endless: bool = False

    # The content.
    unknown_event: bool = False
    malformed: Literal["syntax", "types", "utf8"] | None = None
    usage: UsageFault | None = None
    in_band_error: Text | None = None
    base64: Literal["wrong_endian", "missing"] | None = None
    padding_bytes: Annotated[int, Field(ge=0, le=PADDING_BYTES_MAX)] = 0

    @property
    def bills(self) -> bool:
        """True if the attempt goes on the bill."""
        return self.billed if self.billed is not None else self.status is None

    def meets(self, path: str, key_name: str, *, stream: bool) -> bool:
        """True if a request is one of those that the fault is for."""
        return self.path in {None, path} and self.key in {None, key_name} and self.stream in {None, stream}

    def described(self) -> list[str]:
        """The names of the fields that make this fault what it is."""
        return sorted(self.model_fields_set - {"path", "key", "stream", "times"})


NO_FAULT = Fault()


class FaultQueue:
    """Faults that wait for requests; the first that fits is taken."""

    def __init__(self) -> None:
        self._waiting: deque[Fault] = deque()

    def add(self, faults: list[Fault]) -> None:
        """Queues faults, one entry each however many `times`.

        Raises:
            ValueError: More than `QUEUE_MAX` would wait.
        """
        if len(self._waiting) + len(faults) > QUEUE_MAX:
            raise ValueError(f"at most {QUEUE_MAX} faults may wait")
        self._waiting.extend(faults)

    def clear(self) -> None:
        """Drops every waiting fault."""
        self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """The faults that still wait, in order."""
        return list(self._waiting)

    def take(self, path: str, key_name: str, *, stream: bool) -> Fault:
        """The first fault for this request, `NO_FAULT` if there is none."""
        for position, fault in enumerate(self._waiting):
            if fault.meets(path, key_name, stream=stream):
                if fault.times == 1:
                    del self._waiting[position]
                elif fault.times is not None:
                    self._waiting[position] = fault.model_copy(update={"times": fault.times - 1})
                return fault
        return NO_FAULT


def parse(value: Any) -> list[Fault]:
    """The faults in `{"faults": [...]}`.

    Raises:
        ValueError: It is not that (a pydantic ValidationError for a wrong fault).
    """
    if not isinstance(value, dict) or set(value) != {"faults"} or not isinstance(value["faults"], list):
        raise ValueError('expected {"faults": [...]}')
    return [Fault.model_validate(fault) for fault in value["faults"]]
