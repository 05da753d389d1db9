"""What is refused of the requests for service accounts, exactly, and what passes."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.protobuf.json_format import ParseDict

from cohort.v1.service_account_pb2 import (
    CreateServiceAccountRequest,
    ListServiceAccountsRequest,
    RevokeServiceAccountRequest,
)
from service.validation import (
    violations_of_create_service_account,
    violations_of_list_service_accounts,
    violations_of_revoke_service_account,
)
from tests.unit.validation.tables import Members, Row

KEY = Ed25519PrivateKey.generate()
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ACCOUNT: Members = {
    "team": "search",
    "name": "indexer",
    "scopes": ["chat"],
    "public_key": KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
}

CREATE_ROWS = [
    *(Row(f"no {field}", {field: ""}, [(field, "REQUIRED")]) for field in ("team", "name", "public_key")),
    Row("no scope", {"scopes": []}, [("scopes", "REQUIRED")]),
    Row("a team of 65 characters", {"team": "a" * 65}, [("team", "TOO_LARGE")]),
    *(
        Row(f"the name {name!r}", {"name": name}, [("name", "INVALID_CHARACTERS")])
        for name in ["Indexer", "_indexer", "in dexer", "a" * 64, "index\n", "índex", "a'; --"]
    ),
    Row("an unknown scope", {"scopes": ["chat", "Chat"]}, [("scopes[1]", "UNKNOWN_VALUE")]),
    Row("an empty scope", {"scopes": [""]}, [("scopes[0]", "UNKNOWN_VALUE")]),
    Row("a scope twice", {"scopes": ["chat", "chat"]}, [("scopes[1]", "DUPLICATE")]),
    Row("more scopes than there are", {"scopes": ["chat"] * 9}, [("scopes", "TOO_MANY")]),
    Row("101 models", {"models": [f"m{number}" for number in range(101)]}, [("models", "TOO_MANY")]),
    Row("an empty model", {"models": ["m", ""]}, [("models[1]", "REQUIRED")]),
    Row("a model with a space", {"models": [" m"]}, [("models[0]", "INVALID_CHARACTERS")]),
    Row("a model twice", {"models": ["m", "m"]}, [("models[1]", "DUPLICATE")]),
    Row("a cap of nothing", {"max_tokens_per_call": 0}, [("max_tokens_per_call", "OUT_OF_RANGE")]),
    Row("a cap below nothing", {"max_tokens_per_call": -1}, [("max_tokens_per_call", "OUT_OF_RANGE")]),
    Row("no key", {"public_key": "key"}, [("public_key", "UNKNOWN_VALUE")]),
    Row("a private key", {"public_key": PRIVATE}, [("public_key", "UNKNOWN_VALUE")]),
]
LIST_ROWS = [
    Row("a team in another script", {"team": "équipe"}, [("team", "INVALID_CHARACTERS")]),
    Row("less than no accounts", {"page_size": -1}, [("page_size", "OUT_OF_RANGE")]),
    Row("1,001 accounts", {"page_size": 1_001}, [("page_size", "OUT_OF_RANGE")]),
    Row("a page token of 501 characters", {"page_token": "a" * 501}, [("page_token", "TOO_LARGE")]),
]
REVOKE_ROWS = [
    Row("no id", {"id": ""}, [("id", "REQUIRED")]),
    Row("an id of 65 characters", {"id": "a" * 65}, [("id", "TOO_LARGE")]),
    Row("an id of two lines", {"id": "a\nb"}, [("id", "INVALID_CHARACTERS")]),
    Row("a note of 501 characters", {"note": "é" * 501}, [("note", "TOO_LARGE")]),
    Row("a note with a bell", {"note": "a\a"}, [("note", "INVALID_CHARACTERS")]),
]
PASSING: list[Members] = [
    {},
    {"scopes": ["chat", "embed", "rerank", "usage:read", "keys:rotate", "audit:read", "admin"]},
    {"models": [f"m{number}" for number in range(100)], "max_tokens_per_call": 1_000_000, "name": "0" + "a_-" * 20},
]


def found(violations: list[Any]) -> list[tuple[str, str]]:
    return [(violation.field, violation.reason) for violation in violations]


@pytest.mark.parametrize("row", CREATE_ROWS, ids=lambda row: row.what)
def test_an_account_that_may_not_be_made(row: Row) -> None:
    request = ParseDict({**ACCOUNT, **row.members}, CreateServiceAccountRequest())

    assert found(violations_of_create_service_account(request)) == row.found


@pytest.mark.parametrize("row", LIST_ROWS, ids=lambda row: row.what)
def test_a_list_that_may_not_be_asked_for(row: Row) -> None:
    request = ParseDict({**row.members}, ListServiceAccountsRequest())

    assert found(violations_of_list_service_accounts(request)) == row.found


@pytest.mark.parametrize("row", REVOKE_ROWS, ids=lambda row: row.what)
def test_a_revocation_that_may_not_be_asked_for(row: Row) -> None:
    request = ParseDict({"id": "sa_AAAAAAAAAAAAAAAA", **row.members}, RevokeServiceAccountRequest())

    assert found(violations_of_revoke_service_account(request)) == row.found


@pytest.mark.parametrize("members", PASSING)
def test_an_account_that_may_be_made(members: Members) -> None:
    request = ParseDict({**ACCOUNT, **members}, CreateServiceAccountRequest())

    assert violations_of_create_service_account(request) == []


def test_what_may_be_left_out_of_the_other_requests() -> None:
    assert violations_of_list_service_accounts(ListServiceAccountsRequest()) == []
    assert violations_of_revoke_service_account(RevokeServiceAccountRequest(id="sa_AAAAAAAAAAAAAAAA")) == []


def test_a_refused_key_is_not_quoted() -> None:
    request = ParseDict({**ACCOUNT, "public_key": PRIVATE}, CreateServiceAccountRequest())
    (violation,) = violations_of_create_service_account(request)

    assert PRIVATE.splitlines()[1][:12] not in violation.description
    assert "must stay with the caller" in violation.description
