"""Each refusal of the books, as the caller gets it: reason, code, numbers and details."""

import time
from typing import Any

import pytest
from google.rpc import error_details_pb2

from cohort.v1.error_reason_pb2 import ErrorReason
from service.book_refusals import rfc3339_of
from service.books import errors
from service.books.errors import (
    AdjustmentBelowZero,
    BooksError,
    BooksUnavailable,
    BudgetInFlight,
    BudgetSpent,
    CredentialNotActive,
    CredentialUnknown,
    HoldExceedsLimit,
    ModelNotPriced,
    RequestIdReused,
    RotationUnderWay,
    TeamFrozen,
    TeamUnknown,
)
from service.status import cohort_error_of, outcome_of, status_of

USD = 10**9
NEW_YEAR_2100_US = 4_102_444_800_000_000
SHORT: dict[str, Any] = {
    "limit_nanos": 25 * USD,
    "spent_nanos": 24 * USD,
    "held_nanos": USD - 18_796_000,
    "hold_nanos": 42_500_000,
    "resets_at_us": NEW_YEAR_2100_US,
}
FIGURES = {
    "budget": "search",
    "limit_usd": "25.00",
    "spent_usd": "24.00",
    "held_usd": "0.981204",
    "available_usd": "0.018796",
    "hold_usd": "0.0425",
    "resets_at": "2100-01-01T00:00:00Z",
}
REFUSALS: list[tuple[BooksError, str, str, dict[str, str], str | None]] = [
    (BudgetSpent("search", **SHORT), "BUDGET_SPENT", "RESOURCE_EXHAUSTED", FIGURES, None),
    (BudgetInFlight("search", **SHORT), "BUDGET_IN_FLIGHT", "RESOURCE_EXHAUSTED", FIGURES, None),
    (
        HoldExceedsLimit("search", limit_nanos=USD // 100, hold_nanos=42_500_000),
        "HOLD_EXCEEDS_LIMIT",
        "FAILED_PRECONDITION",
        {"budget": "search", "limit_usd": "0.01", "hold_usd": "0.0425"},
        None,
    ),
    (
        ModelNotPriced("search", "command-x", "2026-11-21.3fa9c1d2"),
        "MODEL_NOT_PRICED",
        "FAILED_PRECONDITION",
        {"budget": "search", "model": "command-x", "price_book_version": "2026-11-21.3fa9c1d2"},
        "model",
    ),
    (TeamFrozen("search"), "TEAM_FROZEN", "FAILED_PRECONDITION", {"budget": "search"}, None),
    (BooksUnavailable("a disk", "search"), "BOOKS_UNAVAILABLE", "UNAVAILABLE", {"budget": "search"}, None),
    (TeamUnknown("serach"), "TEAM_UNKNOWN", "NOT_FOUND", {"team": "serach"}, "team"),
    (
        AdjustmentBelowZero("search", amount_nanos=-30 * USD, spent_nanos=24 * USD, held_nanos=USD),
        "ADJUSTMENT_BELOW_ZERO",
        "FAILED_PRECONDITION",
        {"budget": "search", "amount_usd": "-30.00", "spent_usd": "24.00", "held_usd": "1.00"},
        "amount",
    ),
    (CredentialUnknown("2Bq7ZkP0aXcV"), "CREDENTIAL_UNKNOWN", "NOT_FOUND", {"id": "2Bq7ZkP0aXcV"}, "id"),
    (
        CredentialNotActive("2Bq7ZkP0aXcV", "REVOKED"),
        "CREDENTIAL_NOT_ACTIVE",
        "FAILED_PRECONDITION",
        {"id": "2Bq7ZkP0aXcV", "state": "REVOKED"},
        "id",
    ),
    (
        RotationUnderWay("search", "2Bq7ZkP0aXcV"),
        "ROTATION_UNDER_WAY",
        "ABORTED",
        {"team": "search", "rotation": "2Bq7ZkP0aXcV"},
        None,
    ),
    (RequestIdReused("6f1b"), "REQUEST_ID_REUSED", "ALREADY_EXISTS", {"request_id": "6f1b"}, "request_id"),
]


def details(error: BooksError) -> dict[str, Any]:
    """The details of the status, by the name of their type."""
    known = cohort_error_of(error)
    assert known is not None
    found: dict[str, Any] = {}
    for packed in status_of(known).details:
        detail = getattr(error_details_pb2, packed.type_url.rpartition(".")[2])()
        assert packed.Unpack(detail)
        found[detail.DESCRIPTOR.name] = detail
    return found


@pytest.mark.parametrize(
    ("error", "reason", "code", "metadata", "field"), REFUSALS, ids=[reason for _, reason, *_ in REFUSALS]
)
def test_a_refusal_names_its_reason_its_code_its_numbers_and_its_field(
    error: BooksError, reason: str, code: str, metadata: dict[str, str], field: str | None
) -> None:
    found = details(error)
    fields = [each.field for each in found["BadRequest"].field_violations] if "BadRequest" in found else []

    assert outcome_of(error) == (code, reason)
    assert (found["ErrorInfo"].domain, found["ErrorInfo"].reason) == ("cohort", reason)
    assert dict(found["ErrorInfo"].metadata) == metadata
    assert fields == ([] if field is None else [field])


@pytest.mark.parametrize("kind", [BudgetSpent, BudgetInFlight])
def test_a_short_budget_is_named_as_the_quota_that_was_met(kind: type[BudgetSpent | BudgetInFlight]) -> None:
    error = kind("search", **SHORT)
    (violation,) = details(error)["QuotaFailure"].violations

    assert violation.subject == "team:search"
    assert "$0.018796 of $25.00" in violation.description


def test_a_spent_budget_asks_to_wait_for_the_next_day() -> None:
    waits_s = details(BudgetSpent("search", **SHORT))["RetryInfo"].retry_delay.ToTimedelta().total_seconds()

    assert waits_s == pytest.approx(NEW_YEAR_2100_US / 1e6 - time.time(), abs=60)


def test_a_day_that_is_over_by_now_asks_for_no_wait_at_all() -> None:
    error = BudgetSpent("search", **{**SHORT, "resets_at_us": 0})

    assert details(error)["RetryInfo"].retry_delay.ToMilliseconds() == 0


def test_a_budget_that_others_hold_asks_for_seconds() -> None:
    assert 1 <= details(BudgetInFlight("search", **SHORT))["RetryInfo"].retry_delay.seconds <= 5


def test_books_that_cannot_be_written_ask_for_a_second_and_keep_the_cause_to_themselves() -> None:
    error = BooksUnavailable("could not connect to db.internal")
    known = cohort_error_of(error)
    assert known is not None

    assert details(error)["RetryInfo"].retry_delay.seconds == 1
    assert b"db.internal" not in status_of(known).SerializeToString()


def test_more_spent_than_the_limit_leaves_nothing_and_not_less() -> None:
    error = BudgetSpent("search", **{**SHORT, "limit_nanos": USD})

    assert details(error)["ErrorInfo"].metadata["available_usd"] == "0.00"


def test_every_exception_of_the_books_is_translated() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BooksError)}
    bases = {base for kind in kinds for base in kind.__bases__}

    assert kinds - bases == {type(error) for error, *_ in REFUSALS}


def test_every_reason_of_the_books_is_one_of_an_exception() -> None:
    numbers = {ErrorReason.Value(f"ERROR_REASON_{reason}") for _, reason, *_ in REFUSALS}

    assert numbers == {number for number in ErrorReason.values() if 90 <= number < 110 or number == 121}


@pytest.mark.parametrize(
    ("at_us", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1, "1970-01-01T00:00:00.000001Z"), (NEW_YEAR_2100_US, "2100-01-01T00:00:00Z")],
)
def test_times_are_text_of_rfc_3339(at_us: int, text: str) -> None:
    assert rfc3339_of(at_us) == text
