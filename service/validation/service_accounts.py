"""The bounds of the requests for service accounts."""

from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
)
from service.public_keys import PublicKeyRefused, public_key_of
from service.validation import grants
from service.validation.rules import Rules
from service.validation.values import line, name, whole, word
from service.validation.violation import Findings, Violation, ViolationReason, collect
from service.validation.windows import page_token

ACCOUNTS_MAX = 1_000
NOTE_CHARS_MAX = 500
ID_CHARS_MAX = 64


def violations_of_create_service_account(request: CreateServiceAccountRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _CREATE.check(findings, "", checked), request)


def violations_of_list_service_accounts(request: ListServiceAccountsRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be answered."""
    return collect(lambda findings, checked: _LIST.check(findings, "", checked), request)


def violations_of_revoke_service_account(request: RevokeServiceAccountRequest) -> list[Violation]:
    """Returns all violations, in the order of the fields; none if *request* may be carried out."""
    return collect(lambda findings, checked: _REVOKE.check(findings, "", checked), request)


def _public_key(findings: Findings, field: str, value: str) -> None:
    try:
        public_key_of(value)
    except PublicKeyRefused as refused:
        findings.add(field, ViolationReason.UNKNOWN_VALUE, str(refused))


_CREATE = Rules.of(
    CreateServiceAccountRequest,
    {
        "team": word,
        "name": grants.principal_name,
        "scopes": grants.scopes,
        "models": grants.models,
        "max_tokens_per_call": grants.max_tokens,
        "public_key": _public_key,
        "request_id": grants.request_id,
    },
    required=("team", "name", "scopes", "public_key"),
)
_LIST = Rules.of(
    ListServiceAccountsRequest, {"team": word, "page_size": whole(1, ACCOUNTS_MAX), "page_token": page_token}
)
_REVOKE = Rules.of(
    RevokeServiceAccountRequest, {"id": name(ID_CHARS_MAX), "note": line(NOTE_CHARS_MAX)}, required=("id",)
)
