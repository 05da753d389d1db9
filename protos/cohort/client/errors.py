"""A failed call → what happened, as the service says it: the reason, its details, and the id of the call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cohort.client._rich_status import DETAILS, Status

_DOMAIN = "cohort"


@dataclass(frozen=True)
class Violation:
    """A field of the request that breaks a rule.

    Attributes:
        field: Where it stands, such as "messages[0].content[1].image_url.url".
        reason: Which rule, for programs, such as "TOO_MANY".
        description: Which rule, for people.
    """

    field: str
    reason: str
    description: str


@dataclass(eq=False)
class CohortError(Exception):
    """A call that failed, to be raised or looked at.

    Use::

        except grpc.RpcError as error:
            failure = CohortError.of(error)
            if failure.reason == "COHERE_RATE_LIMITED":
                time.sleep(failure.retry_after_s or 5)

    Attributes:
        code: The gRPC status code.
        message: What happened, for people. It may change.
        reason: The name of an `ErrorReason` without its prefix, or "" if the status does not come from the service.
        metadata: The numbers and names behind the reason.
        retry_after_s: How long to wait before a retry, in seconds; None if the service does not say.
        violations: The fields to correct.
        call_id: The id of the call, for questions to the operators; "" if the status does not come from the service.
    """

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None
    violations: tuple[Violation, ...] = ()
    call_id: str = ""

    @classmethod
    def of(cls, error: grpc.RpcError) -> "CohortError":
        """Reads what *error* tells, be it raised by a blocking call or by an asyncio one.

        Details that are missing or broken leave their attributes empty: a failure is never hidden by another.
        """
        trailers = _trailers(error)
        status = _decoded(Status, trailers.get("grpc-status-details-bin", b""))
        failure = cls(error.code(), error.details() or "", call_id=str(trailers.get("x-call-id", "")))
        for detail in status.details:
            name = detail.type_url.rpartition("/")[2]
            if name in DETAILS:
                failure._read(_decoded(DETAILS[name], detail.value))
        return failure

    def __str__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        call = f" (call {self.call_id})" if self.call_id else ""
        return f"{self.code.name}{reason}: {self.message}{call}"

    def _read(self, detail: Any) -> None:
        match detail.DESCRIPTOR.name:
            case "ErrorInfo":
                if detail.domain == _DOMAIN:
                    self.reason = detail.reason
                    self.metadata = {entry.key: entry.value for entry in detail.metadata}
            case "RetryInfo":
                self.retry_after_s = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
            case "BadRequest":
                self.violations = tuple(
                    Violation(each.field, each.reason, each.description) for each in detail.field_violations
                )


def _trailers(error: grpc.RpcError) -> dict[str, Any]:
    pairs: Any = error.trailing_metadata()  # of one type from blocking calls, of another from asyncio ones
    return dict(iter(pairs or ()))  # iter, because keys() of the latter yields pairs in grpcio 1.76


def _decoded(kind: Any, value: bytes) -> Any:
    try:
        return kind.FromString(value)
    except DecodeError:
        return kind()
