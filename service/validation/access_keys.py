"""The bounds of the requests for access keys."""

from cohort.v1.access_key_pb2 import (
    AccessKeyState,
    CreateAccessKeyRequest,
    ListAccessKeysRequest,
    RevokeAccessKeyRequest,
    RotateAccessKeyRequest,
)
from service.validation import grants
from service.validation.rules import PASSES, Rules
from service.validation.values import line, name, whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect
from service.validation.windows import page_token, timestamp

KEYS_MAX = 1_000
NOTE_CHARS_MAX = 500
ID_CHARS_MAX = 64
OVERLAP_S_MAX = 30 * 24 * 3600


def violations_of_create_access_key(request: CreateAccessKeyRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _CREATE.check(findings, "", checked), request)


def violations_of_list_access_keys(request: ListAccessKeysRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered."""
    return collect(lambda findings, checked: _LIST.check(findings, "", checked), request)


def violations_of_rotate_access_key(request: RotateAccessKeyRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _ROTATE.check(findings, "", checked), request)


def violations_of_revoke_access_key(request: RevokeAccessKeyRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _REVOKE.check(findings, "", checked), request)


def _state(findings: Findings, field: str, value: int) -> None:
    if value not in AccessKeyState.values():
        findings.add(field, ViolationReason.UNKNOWN_VALUE, f"must be an AccessKeyState; is {value}")


_CREATE = Rules.of(
    CreateAccessKeyRequest,
    {
        "team": word,
        "name": grants.principal_name,
        "scopes": grants.scopes,
        "models": grants.models,
        "max_tokens_per_call": grants.max_tokens,
        "requests_per_minute": grants.rate,
        "requests_per_day": grants.rate,
        "expire_time": timestamp,
        "request_id": grants.request_id,
    },
    required=("team", "name", "scopes", "expire_time"),
)
_LIST = Rules.of(
    ListAccessKeysRequest,
    {"team": word, "state": _state, "page_size": whole(1, KEYS_MAX), "page_token": page_token},
)
_ROTATE = Rules.of(
    RotateAccessKeyRequest,
    {
        "id": name(ID_CHARS_MAX),
        "overlap_seconds": whole(0, OVERLAP_S_MAX),
        "expire_time": timestamp,
        "request_id": grants.request_id,
    },
    required=("id",),
)
_REVOKE = Rules.of(
    RevokeAccessKeyRequest,
    {"id": name(ID_CHARS_MAX), "note": line(NOTE_CHARS_MAX), "with_successors": PASSES},
    required=("id",),
)
