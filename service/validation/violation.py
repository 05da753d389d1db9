"""What is wrong with a request, and the bounded list it is collected in."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

VIOLATIONS_MAX = 100
"""More are not listed: one last `MORE_VIOLATIONS` stands for the rest, and the walk ends there."""

VIOLATIONS_BYTES_MAX = 5_000
"""The same for their size, as far as fields and descriptions are long.

They travel in a response header. Many clients take at most 8 KiB of headers and tell their caller
RESOURCE_EXHAUSTED in place of a longer status; base64, which some of them ask for, makes 6.7 KB of these.
"""

PARTS_MAX = 5_000
"""Parts of one request: 50 tokens each fill the largest context of Cohere's, and walking them takes 12 ms."""


_FRAME_BYTES = 8
"""What protobuf adds to the three texts of a violation."""


class ViolationReason(enum.StrEnum):
    """Why a field is refused; the `reason` of a `google.rpc.BadRequest.FieldViolation`."""

    REQUIRED = "REQUIRED"
    """Must be set, or must not be empty."""
    NOT_ALLOWED = "NOT_ALLOWED"
    """Must not be set here: for this role, this kind of input, this type."""
    CONFLICT = "CONFLICT"
    """Must not be set together with another field."""
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    """None of the words that are known."""
    DUPLICATE = "DUPLICATE"
    """Listed before."""
    OUT_OF_RANGE = "OUT_OF_RANGE"
    """A number below or above its bounds."""
    NOT_FINITE = "NOT_FINITE"
    """NaN or infinite: JSON has no such number."""
    TOO_MANY = "TOO_MANY"
    """More items than the bound."""
    TOO_LARGE = "TOO_LARGE"
    """More characters or bytes than the bound."""
    INVALID_CHARACTERS = "INVALID_CHARACTERS"
    """Characters that this field cannot hold."""
    INVALID_JSON = "INVALID_JSON"
    """Not the text of one JSON object of bounded depth."""
    INVALID_URL = "INVALID_URL"
    """Neither of the forms of URL that are taken here."""
    MORE_VIOLATIONS = "MORE_VIOLATIONS"
    """Stands last, for all that were not listed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that is refused.

    Attributes:
        field: Its path from the request, for example `messages[0].content[1].image_url.url`.
        reason: A `ViolationReason`.
        description: The bound and the measure of the value; numbers may be shown, text never is.
    """

    field: str
    reason: str
    description: str


class Findings:
    """What the walk over one request has found so far.

    Attributes:
        violations: At most `VIOLATIONS_MAX` and `VIOLATIONS_BYTES_MAX`, and one that says there are more.
        parts: Messages, blocks, documents, tools, tool calls, citations and sources met.
        images: Images met.
        images_bytes: Bytes of the images that came within the request, decoded.
    """

    __slots__ = ("_bytes_left", "images", "images_bytes", "parts", "violations")

    def __init__(self) -> None:
        self.violations: list[Violation] = []
        self.parts = 0
        self.images = 0
        self.images_bytes = 0
        self._bytes_left = VIOLATIONS_BYTES_MAX

    def add(self, field: str, reason: ViolationReason, description: str) -> None:
        """Lists a violation.

        Raises:
            WalkEnded: The list is full.
        """
        self._bytes_left -= len(field) + len(reason) + len(description) + _FRAME_BYTES
        if self._bytes_left < 0 or len(self.violations) == VIOLATIONS_MAX:
            more = f"and more: only the first {len(self.violations)} violations are listed"
            self.violations.append(Violation("", ViolationReason.MORE_VIOLATIONS.value, more))
            raise WalkEnded
        self.violations.append(Violation(field, reason.value, description))

    def take_parts(self, field: str, parts: int) -> None:
        """Counts the items of a list before they are walked.

        Raises:
            WalkEnded: There are more than `PARTS_MAX` in all.
        """
        self.parts += parts
        if self.parts > PARTS_MAX:
            bounds = f"a request may hold at most {PARTS_MAX} messages, blocks, documents, tools and the like"
            self.add(field, ViolationReason.TOO_MANY, f"{bounds}; holds {self.parts} up to here")
            raise WalkEnded


class WalkEnded(Exception):
    """Ends the walk over a request early; what was found stands."""


RequestT = TypeVar("RequestT", bound=Message)


def collect(walk: Callable[[Findings, RequestT], None], request: RequestT) -> list[Violation]:
    """Returns what *walk* finds in *request*, in the order found."""
    findings = Findings()
    try:  # noqa: SIM105 - contextlib.suppress takes a tenth of a chat's whole walk
        walk(findings, request)
    except WalkEnded:
        pass
    return findings.violations
