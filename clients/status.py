"""One HTTP status of Cohere → what it means: reason, bill, wait. Pure.

Source: Cohere's error pages and observed bodies `{"id", "message", "error_type"?}`; load balancers answer
in HTML. Work is proved not to have been done by 400, 401, 402, 403, 404, 413, a 422 without `error_type`
and 429; and, by default, by a 408, 409 or 5xx whose body is Cohere's own JSON.
"""

import datetime
import email.utils
from collections.abc import Mapping

import orjson

from clients.errors import Billing, UpstreamError
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.error_reason_pb2 import ErrorReason

RETRY_AFTER_MAX_S = 3600.0

_REASONS: dict[int, ErrorReason.ValueType] = {
    400: reasons.ERROR_REASON_COHERE_REQUEST_REJECTED,
    401: reasons.ERROR_REASON_COHERE_KEY_REJECTED,
    402: reasons.ERROR_REASON_COHERE_BILLING,
    403: reasons.ERROR_REASON_COHERE_KEY_FORBIDDEN,
    404: reasons.ERROR_REASON_COHERE_MODEL_NOT_FOUND,
    408: reasons.ERROR_REASON_COHERE_UNAVAILABLE,
    409: reasons.ERROR_REASON_COHERE_CONFLICT,
    413: reasons.ERROR_REASON_COHERE_REQUEST_TOO_LARGE,
    422: reasons.ERROR_REASON_COHERE_REQUEST_REJECTED,
    429: reasons.ERROR_REASON_COHERE_RATE_LIMITED,
    498: reasons.ERROR_REASON_COHERE_CONTENT_DENIED,
    499: reasons.ERROR_REASON_COHERE_UNAVAILABLE,
    500: reasons.ERROR_REASON_COHERE_INTERNAL,
    501: reasons.ERROR_REASON_COHERE_NOT_IMPLEMENTED,
}

GENERATION_FAILURES: dict[str, ErrorReason.ValueType] = {
    "INVALID_TOOL_GENERATION": reasons.ERROR_REASON_INVALID_TOOL_GENERATION,
    "HALLUCINATED_ALL_TOOL_CALLS": reasons.ERROR_REASON_HALLUCINATED_ALL_TOOL_CALLS,
    "NO_VALID_RESPONSE_GENERATED": reasons.ERROR_REASON_NO_VALID_RESPONSE_GENERATED,
}

# About the team's own key: Cohere's text may quote what it was sent, so the caller gets ours.
_KEY_MESSAGES = {
    401: "Cohere refused this team's key: it is missing, mistyped, expired or revoked; renew the key",
    402: "Cohere refuses to bill this team's account: add a payment method or raise its monthly cap",
    403: "This team's Cohere key has no permission for this endpoint or model",
}
_NOT_TRIED = "not sent, for Cohere has refused others"

_PROVED_FREE = frozenset({400, 401, 402, 403, 404, 413, 429})
_FREE_IF_COHERE_ANSWERED = frozenset({408, 409})


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """Tells what a status other than 200 means.

    Args:
        status: The HTTP status.
        headers: The answer's headers, names case-insensitive.
        body: The answer's body, possibly cut.
    """
    error = _error_body(body)
    error_type = error.get("error_type") if error else None
    error_type = error_type if isinstance(error_type, str) else ""
    text = error.get("message") if error else None
    text = text if isinstance(text, str) and text else f"Cohere answered HTTP {status}"
    reason = _reason(status, error_type, text)
    return UpstreamError(
        reason,
        _KEY_MESSAGES.get(status, text),
        billing=_billing(status, error_type, cohere_answered=error is not None),
        status=status,
        retry_after_s=_retry_after_s(headers)
        if reason == reasons.ERROR_REASON_COHERE_RATE_LIMITED or status >= 500
        else None,
        error_type=error_type,
        debug_trace_id=headers.get("x-debug-trace-id", ""),
    )


def refusal_of_key(status: int) -> UpstreamError:
    """What a call gets that is not made, because Cohere has answered others with *status*: 401, 402 or 403."""
    message = f"{_KEY_MESSAGES[status]} ({_NOT_TRIED})"
    return UpstreamError(_REASONS[status], message, billing=Billing.NONE)


def key_missing() -> UpstreamError:
    """What a call gets whose team has no Cohere key."""
    message = "This team has no Cohere key: its source holds none that can be used, or cannot be read"
    return UpstreamError(reasons.ERROR_REASON_COHERE_KEY_MISSING, message, billing=Billing.NONE)


def _error_body(body: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _reason(status: int, error_type: str, text: str) -> ErrorReason.ValueType:
    if status == 422 and error_type:
        return GENERATION_FAILURES.get(error_type, reasons.ERROR_REASON_COHERE_GENERATION_FAILED)
    if status == 429 and "/ month" in text:
        return reasons.ERROR_REASON_TRIAL_MONTHLY_CAP
    if status in _REASONS:
        return _REASONS[status]
    if status >= 500:
        return reasons.ERROR_REASON_COHERE_UNAVAILABLE
    if status >= 400:
        return reasons.ERROR_REASON_COHERE_REQUEST_REJECTED
    return reasons.ERROR_REASON_COHERE_MALFORMED_ANSWER


def _billing(status: int, error_type: str, *, cohere_answered: bool) -> Billing:
    if status in _PROVED_FREE or (status == 422 and not error_type):
        return Billing.NONE
    if cohere_answered and (status >= 500 or status in _FREE_IF_COHERE_ANSWERED):
        return Billing.NONE
    return Billing.UNKNOWN


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Reads Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        if moment.tzinfo is None:  # "-0000": UTC of an unknown place (RFC 5322 section 3.3)
            moment = moment.replace(tzinfo=datetime.UTC)
        seconds = (moment - datetime.datetime.now(datetime.UTC)).total_seconds()
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S) if seconds == seconds else None  # noqa: PLR0124 (NaN)
