"""Which gRPC code goes with the reason of a refusal by policy, limits, books, rotation or Cohere."""

import grpc

from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.error_reason_pb2 import ErrorReason

_CODES: dict[grpc.StatusCode, tuple[ErrorReason.ValueType, ...]] = {
    grpc.StatusCode.PERMISSION_DENIED: (
        reasons.ERROR_REASON_ENDPOINT_NOT_ALLOWED,
        reasons.ERROR_REASON_MODEL_NOT_ALLOWED,
        reasons.ERROR_REASON_MAX_TOKENS_ABOVE_CAP,
        reasons.ERROR_REASON_INPUT_TOKENS_ABOVE_CAP,
    ),
    grpc.StatusCode.INVALID_ARGUMENT: (
        reasons.ERROR_REASON_COHERE_REQUEST_REJECTED,
        reasons.ERROR_REASON_COHERE_REQUEST_TOO_LARGE,
        reasons.ERROR_REASON_COHERE_CONTENT_DENIED,
    ),
    grpc.StatusCode.FAILED_PRECONDITION: (
        reasons.ERROR_REASON_COHERE_KEY_MISSING,
        reasons.ERROR_REASON_COHERE_KEY_REJECTED,
        reasons.ERROR_REASON_COHERE_BILLING,
        reasons.ERROR_REASON_COHERE_KEY_FORBIDDEN,
        reasons.ERROR_REASON_HOLD_EXCEEDS_LIMIT,
        reasons.ERROR_REASON_MODEL_NOT_PRICED,
        reasons.ERROR_REASON_TEAM_FROZEN,
        reasons.ERROR_REASON_ADJUSTMENT_BELOW_ZERO,
        reasons.ERROR_REASON_CREDENTIAL_NOT_ACTIVE,
        reasons.ERROR_REASON_SERVICE_ACCOUNTS_OFF,
        reasons.ERROR_REASON_ACCESS_KEYS_OFF,
        reasons.ERROR_REASON_REQUEST_EXCEEDS_RATE,
        reasons.ERROR_REASON_KEY_SOURCE_READ_ONLY,
    ),
    grpc.StatusCode.NOT_FOUND: (
        reasons.ERROR_REASON_COHERE_MODEL_NOT_FOUND,
        reasons.ERROR_REASON_TEAM_UNKNOWN,
        reasons.ERROR_REASON_CREDENTIAL_UNKNOWN,
    ),
    grpc.StatusCode.ALREADY_EXISTS: (reasons.ERROR_REASON_REQUEST_ID_REUSED,),
    grpc.StatusCode.ABORTED: (
        reasons.ERROR_REASON_COHERE_CONFLICT,
        reasons.ERROR_REASON_ROTATION_UNDER_WAY,
        reasons.ERROR_REASON_INVALID_TOOL_GENERATION,
        reasons.ERROR_REASON_HALLUCINATED_ALL_TOOL_CALLS,
        reasons.ERROR_REASON_NO_VALID_RESPONSE_GENERATED,
        reasons.ERROR_REASON_COHERE_GENERATION_FAILED,
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        reasons.ERROR_REASON_COHERE_RATE_LIMITED,
        reasons.ERROR_REASON_TRIAL_MONTHLY_CAP,
        reasons.ERROR_REASON_UPSTREAM_POOL_FULL,
        reasons.ERROR_REASON_COHERE_ANSWER_TOO_LARGE,
        reasons.ERROR_REASON_BUDGET_SPENT,
        reasons.ERROR_REASON_BUDGET_IN_FLIGHT,
        reasons.ERROR_REASON_RATE_LIMITED_MINUTE,
        reasons.ERROR_REASON_RATE_LIMITED_DAY,
        reasons.ERROR_REASON_TOO_MANY_IN_FLIGHT,
        reasons.ERROR_REASON_UPSTREAM_BUSY,
    ),
    grpc.StatusCode.UNAVAILABLE: (
        reasons.ERROR_REASON_COHERE_UNAVAILABLE,
        reasons.ERROR_REASON_COHERE_CONNECTION_LOST,
        reasons.ERROR_REASON_COHERE_TIMED_OUT,
        reasons.ERROR_REASON_BOOKS_UNAVAILABLE,
    ),
    grpc.StatusCode.INTERNAL: (
        reasons.ERROR_REASON_COHERE_INTERNAL,
        reasons.ERROR_REASON_COHERE_MALFORMED_ANSWER,
    ),
    grpc.StatusCode.UNIMPLEMENTED: (reasons.ERROR_REASON_COHERE_NOT_IMPLEMENTED,),
}
CODE_OF_REASON = {reason: code for code, group in _CODES.items() for reason in group}
