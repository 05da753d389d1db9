"""The exceptions of the service; each knows its gRPC code, its reason and its details.

    CohortError
    ├── CredentialMissing, CredentialAmbiguous, CredentialRejected      UNAUTHENTICATED
    ├── CredentialUnverifiable                                          UNAVAILABLE
    ├── ScopeMissing                                                    PERMISSION_DENIED
    ├── RequestMalformed, RequestInvalid                                INVALID_ARGUMENT
    ├── RequestBodyTimeout, DeadlineTooShort, DeadlineExceeded          DEADLINE_EXCEEDED
    └── Refused                                                         by their reason (`service.codes`)
`service.status` is the one place where an exception becomes a status.
"""

import math

import grpc
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.error_reason_pb2 import ErrorReason
from service.codes import CODE_OF_REASON
from service.validation import Violation


class CohortError(Exception):
    """A call that ends in a status of ours.

    Attributes:
        code: The gRPC status code.
        reason: What happened, for programs.
        message: What happened, for people; safe for the caller.
        metadata: The numbers and names behind it.
    """

    code: grpc.StatusCode
    reason: ErrorReason.ValueType
    message: str

    def __init__(self, message: str = "", **metadata: str) -> None:
        if message:
            self.message = message
        self.metadata = metadata
        super().__init__(self.message)

    def details(self) -> list[Message]:
        """Typed details beside the ErrorInfo."""
        return []


class CredentialMissing(CohortError):
    """No credential in the metadata."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = reasons.ERROR_REASON_CREDENTIAL_MISSING
    message = "No credential: send an access key as `x-api-key` or `authorization: Bearer`"


class CredentialAmbiguous(CohortError):
    """More than one credential."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = reasons.ERROR_REASON_CREDENTIAL_AMBIGUOUS
    message = "More than one credential: send exactly one, as `x-api-key` or `authorization: Bearer`"


class CredentialRejected(CohortError):
    """A credential that is not accepted; callers are not told why, the log is."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = reasons.ERROR_REASON_CREDENTIAL_REJECTED
    message = "The credential is not valid"


class CredentialUnverifiable(CohortError):
    """Who issued the credential does not answer; callers are not told who, the log is.

    Args:
        retry_after_s: When a retry can help.
    """

    code = grpc.StatusCode.UNAVAILABLE
    reason = reasons.ERROR_REASON_CREDENTIAL_UNVERIFIABLE
    message = "The credential cannot be verified now"

    def __init__(self, retry_after_s: float) -> None:
        self._retry_after_s = retry_after_s
        super().__init__()

    def details(self) -> list[Message]:
        """How long to wait before a retry can help."""
        return [error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=math.ceil(self._retry_after_s)))]


class ScopeMissing(CohortError):
    """The principal may not call this RPC."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = reasons.ERROR_REASON_SCOPE_MISSING

    def __init__(self, rpc: str, scope: str) -> None:
        super().__init__(f"{rpc} needs the scope {scope}, which this credential does not have", scope=scope)


class RequestMalformed(CohortError):
    """The body is not one protobuf message of the RPC's request type."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_REQUEST_MALFORMED
    message = "The request is not a valid message of the type this method takes"


class RequestInvalid(CohortError):
    """Values out of bounds; carries all violations at once."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = reasons.ERROR_REASON_REQUEST_INVALID

    def __init__(self, violations: list[Violation]) -> None:
        self.violations = violations
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__(f"{first.field}: {first.description}{more}", violations=str(len(violations)))

    def details(self) -> list[Message]:
        """One BadRequest with every violation."""
        return [
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, reason=violation.reason, description=violation.description
                    )
                    for violation in self.violations
                ]
            )
        ]


class RequestBodyTimeout(CohortError):
    """Headers came, the message did not."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = reasons.ERROR_REASON_REQUEST_BODY_TIMEOUT

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"The request message did not arrive within {timeout_s:g} s", timeout_s=f"{timeout_s:g}")


class DeadlineTooShort(CohortError):
    """Too little time is left to start; nothing was sent to Cohere."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = reasons.ERROR_REASON_DEADLINE_TOO_SHORT

    def __init__(self, remaining_ms: int, needed_ms: int) -> None:
        super().__init__(
            f"{remaining_ms} ms are left, and a call to Cohere is not begun with less than {needed_ms} ms",
            remaining_ms=str(remaining_ms),
            needed_ms=str(needed_ms),
        )


class DeadlineExceeded(CohortError):
    """The caller's deadline came before Cohere's answer, which may still be billed."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED
    reason = reasons.ERROR_REASON_DEADLINE_EXCEEDED
    message = "The deadline came before Cohere's answer; the call may still be billed"


class Refused(CohortError):
    """A refusal of the policy's, the books' or Cohere's: the reason decides the code.

    Args:
        reason: What happened, for programs.
        message: What happened, for people.
        metadata: The numbers and names behind it.
        field: The field of the request that is to blame.
        retry_after_s: How long to wait before a retry can help, in seconds.
        quota_subject: Whose limit was met, if the reason does not say.
    """

    def __init__(
        self,
        reason: ErrorReason.ValueType,
        message: str,
        metadata: dict[str, str],
        *,
        field: str | None = None,
        retry_after_s: float | None = None,
        quota_subject: str | None = None,
    ) -> None:
        self.reason = reason
        self.code = CODE_OF_REASON[reason]
        self.message = message
        self._field = field
        self._retry_after_s = retry_after_s
        self._quota_subject = quota_subject or _QUOTAS.get(reason)
        super().__init__(message, **metadata)

    def details(self) -> list[Message]:
        """BadRequest if a field is to blame; RetryInfo if waiting helps; QuotaFailure if a limit was met."""
        details: list[Message] = []
        if self._field is not None:
            details.append(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=self._field,
                            reason=ErrorReason.Name(self.reason).removeprefix("ERROR_REASON_"),
                            description=self.message,
                        )
                    ]
                )
            )
        if self._retry_after_s is not None:
            delay = duration_pb2.Duration()
            # Who comes a millisecond early is refused; a float of whole milliseconds may be a little above them.
            delay.FromMilliseconds(math.ceil(round(self._retry_after_s * 1000, 3)))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        if self._quota_subject is not None:
            details.append(
                error_details_pb2.QuotaFailure(
                    violations=[
                        error_details_pb2.QuotaFailure.Violation(subject=self._quota_subject, description=self.message)
                    ]
                )
            )
        return details


_QUOTAS: dict[ErrorReason.ValueType, str] = {
    reasons.ERROR_REASON_COHERE_RATE_LIMITED: "cohere",
    reasons.ERROR_REASON_TRIAL_MONTHLY_CAP: "cohere",
    reasons.ERROR_REASON_UPSTREAM_POOL_FULL: "connections",
    reasons.ERROR_REASON_UPSTREAM_BUSY: "cohere",
}
