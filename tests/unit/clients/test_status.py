import datetime
import email.utils

import pytest

from clients.errors import Billing
from clients.status import RETRY_AFTER_MAX_S, failure_of
from cohort.v1.error_reason_pb2 import ErrorReason

OWN = b'{"id":"1","message":"no"}'
HTML = b"<html>bad gateway</html>"
ROWS = [
    (400, OWN, "COHERE_REQUEST_REJECTED", Billing.NONE),
    (401, OWN, "COHERE_KEY_REJECTED", Billing.NONE),
    (402, OWN, "COHERE_BILLING", Billing.NONE),
    (403, OWN, "COHERE_KEY_FORBIDDEN", Billing.NONE),
    (404, OWN, "COHERE_MODEL_NOT_FOUND", Billing.NONE),
    (408, OWN, "COHERE_UNAVAILABLE", Billing.NONE),
    (408, HTML, "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (409, OWN, "COHERE_CONFLICT", Billing.NONE),
    (413, OWN, "COHERE_REQUEST_TOO_LARGE", Billing.NONE),
    (418, OWN, "COHERE_REQUEST_REJECTED", Billing.UNKNOWN),
    (422, OWN, "COHERE_REQUEST_REJECTED", Billing.NONE),
    (422, b'{"message":"x","error_type":"INVALID_TOOL_GENERATION"}', "INVALID_TOOL_GENERATION", Billing.UNKNOWN),
    (
        422,
        b'{"message":"x","error_type":"HALLUCINATED_ALL_TOOL_CALLS"}',
        "HALLUCINATED_ALL_TOOL_CALLS",
        Billing.UNKNOWN,
    ),
    (
        422,
        b'{"message":"x","error_type":"NO_VALID_RESPONSE_GENERATED"}',
        "NO_VALID_RESPONSE_GENERATED",
        Billing.UNKNOWN,
    ),
    (422, b'{"message":"x","error_type":"NEW"}', "COHERE_GENERATION_FAILED", Billing.UNKNOWN),
    (429, OWN, "COHERE_RATE_LIMITED", Billing.NONE),
    (429, b'{"message":"limited to 1000 API calls / month"}', "TRIAL_MONTHLY_CAP", Billing.NONE),
    (498, OWN, "COHERE_CONTENT_DENIED", Billing.UNKNOWN),
    (499, OWN, "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (500, OWN, "COHERE_INTERNAL", Billing.NONE),
    (500, HTML, "COHERE_INTERNAL", Billing.UNKNOWN),
    (501, OWN, "COHERE_NOT_IMPLEMENTED", Billing.NONE),
    (502, HTML, "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (503, OWN, "COHERE_UNAVAILABLE", Billing.NONE),
    (503, HTML, "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (504, b"", "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (520, HTML, "COHERE_UNAVAILABLE", Billing.UNKNOWN),
    (599, OWN, "COHERE_UNAVAILABLE", Billing.NONE),
    (302, b"", "COHERE_MALFORMED_ANSWER", Billing.UNKNOWN),
    (204, b"", "COHERE_MALFORMED_ANSWER", Billing.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "reason", "billing"), ROWS)
def test_each_status_has_its_reason_and_its_bill(status: int, body: bytes, reason: str, billing: Billing) -> None:
    error = failure_of(status, {}, body)

    assert (ErrorReason.Name(error.reason), error.billing, error.status) == (f"ERROR_REASON_{reason}", billing, status)


def test_a_key_problem_is_told_in_our_words() -> None:
    error = failure_of(401, {}, b'{"message":"invalid key sk-secret"}')

    assert "sk-secret" not in error.message


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [("3", 3.0), ("0", 0.0), ("-1", 0.0), ("1e9", RETRY_AFTER_MAX_S), ("soon", None), ("nan", None), ("", None)],
)
def test_retry_after_is_bounded_seconds(value: str, wait_s: float | None) -> None:
    assert failure_of(429, {"retry-after": value}, OWN).retry_after_s == wait_s


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.format_datetime(
        datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=90), usegmt=True
    )
    wait_s = failure_of(429, {"retry-after": date}, OWN).retry_after_s

    assert wait_s is not None
    assert 80 < wait_s <= 90


@pytest.mark.parametrize("date", ["Fri, 01 Jan 2100 00:00:00 -0000", "Fri, 01 Jan 2100 00:00:00"])
def test_a_date_without_a_zone_is_in_utc(date: str) -> None:
    assert failure_of(429, {"retry-after": date}, OWN).retry_after_s == RETRY_AFTER_MAX_S


def test_a_monthly_cap_has_no_wait() -> None:
    assert failure_of(429, {"retry-after": "3"}, b'{"message":"1000 API calls / month"}').retry_after_s is None


@pytest.mark.parametrize("body", [b"[1]", b"7", b'"x"', b'{"message":7,"error_type":[]}', b"\xff", b"{" * 5000])
def test_an_odd_error_body_still_says_something(body: bytes) -> None:
    assert failure_of(400, {}, body).message
