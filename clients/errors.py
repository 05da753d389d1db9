"""What can go wrong between Cohort and Cohere, and what is then known about the bill.

UpstreamError        an attempt that failed: a status of Cohere's, a network fault, a broken answer
SecretMissing        the source of a Cohere key holds none, or nothing that can be a key
SourceUnavailable    it cannot be reached, or refuses to be read
"""

import enum

from clients.codec.errors import MalformedAnswer
from cohort.v1.error_reason_pb2 import ErrorReason

__all__ = ["Billing", "MalformedAnswer", "SecretMissing", "SourceUnavailable", "UpstreamError"]

MESSAGE_CHARS_MAX = 500


class Billing(enum.StrEnum):
    """What is known of the bill of a failed attempt."""

    NONE = "none"
    """Nothing was sent, or the status proves that Cohere did no work."""
    KNOWN = "known"
    """Cohere named the billed units before it failed."""
    UNKNOWN = "unknown"
    """Cohere may have worked, and billed for it."""


class UpstreamError(Exception):
    """An attempt that did not end in a usable answer.

    Attributes:
        reason: The `ErrorReason` the caller is told.
        message: Words for the caller, at most `MESSAGE_CHARS_MAX` characters, without any Cohere key.
        billing: What is known of the bill.
        status: The HTTP status, or None if no answer came.
        retry_after_s: What Cohere asked us to wait, in seconds, or None.
        error_type: Cohere's own name of the failure, often "".
        debug_trace_id: Cohere's support id of the request, often "".
        fault: The kind of what kept the answer from coming, e.g. ConnectionRefusedError, else "".
    """

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        *,
        billing: Billing,
        status: int | None = None,
        retry_after_s: float | None = None,
        error_type: str = "",
        debug_trace_id: str = "",
        fault: str = "",
    ) -> None:
        self.reason = reason
        self.message = message[:MESSAGE_CHARS_MAX]
        self.billing = billing
        self.status = status
        self.retry_after_s = retry_after_s
        self.error_type = error_type
        self.debug_trace_id = debug_trace_id
        self.fault = fault
        super().__init__(self.message)


class SecretMissing(Exception):
    """The source of a Cohere key holds none, or holds what cannot be a key. Says which source, never the value."""


class SourceUnavailable(Exception):
    """The source of a Cohere key cannot be reached, or refuses to be read. Says which source and why, never a value."""
