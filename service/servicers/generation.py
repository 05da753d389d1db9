"""An answer of HTTP 200 that says the model failed: finish_reason ERROR. Pure."""

import orjson

from clients.errors import Billing, UpstreamError
from clients.status import GENERATION_FAILURES
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.chat_pb2 import ChatResponse, MessageEnd

FAILED = "ERROR"


def failure_of_answer(response: ChatResponse) -> UpstreamError | None:
    """The failure inside a unary answer, None if there is none."""
    if response.finish_reason != FAILED:
        return None
    extra = response.extra_json
    return _failure(
        _text(extra.get("/error_type", "")),
        _text(extra.get("/error", "")),
        billed=response.usage.HasField("billed_units"),
    )


def failure_of_end(end: MessageEnd) -> UpstreamError | None:
    """The failure inside a stream's last event, None if there is none."""
    if end.finish_reason != FAILED:
        return None
    return _failure(end.error_type, end.error, billed=end.usage.HasField("billed_units"))


def _failure(error_type: str, message: str, *, billed: bool) -> UpstreamError:
    return UpstreamError(
        GENERATION_FAILURES.get(error_type, reasons.ERROR_REASON_COHERE_GENERATION_FAILED),
        message or "The model failed to generate an answer",
        billing=Billing.KNOWN if billed else Billing.UNKNOWN,
        status=200,
        error_type=error_type,
    )


def _text(json_text: str) -> str:
    value = orjson.loads(json_text) if json_text else ""
    return value if isinstance(value, str) else ""
