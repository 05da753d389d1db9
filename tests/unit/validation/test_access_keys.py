"""What is refused of the requests for access keys."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from google.protobuf.json_format import ParseDict

from cohort.v1.access_key_pb2 import (
    CreateAccessKeyRequest,
    ListAccessKeysRequest,
    RevokeAccessKeyRequest,
    RotateAccessKeyRequest,
)
from service.validation import (
    violations_of_create_access_key,
    violations_of_list_access_keys,
    violations_of_revoke_access_key,
    violations_of_rotate_access_key,
)

Check: TypeAlias = Callable[[dict[str, Any]], list[Any]]

CREATE: dict[str, Any] = {
    "team": "search", "name": "indexer", "scopes": ["chat"], "expire_time": "2027-01-01T00:00:00Z",
}  # fmt: skip


def create(members: dict[str, Any]) -> list[Any]:
    return violations_of_create_access_key(ParseDict({**CREATE, **members}, CreateAccessKeyRequest()))


def listing(members: dict[str, Any]) -> list[Any]:
    return violations_of_list_access_keys(ParseDict(members, ListAccessKeysRequest()))


def rotate(members: dict[str, Any]) -> list[Any]:
    return violations_of_rotate_access_key(ParseDict({"id": "2Bq7ZkP0aXcV", **members}, RotateAccessKeyRequest()))


def revoke(members: dict[str, Any]) -> list[Any]:
    return violations_of_revoke_access_key(ParseDict({"id": "2Bq7ZkP0aXcV", **members}, RevokeAccessKeyRequest()))


@pytest.mark.parametrize(
    ("check", "members", "found"),
    [
        *((create, {field: None}, [(field, "REQUIRED")]) for field in CREATE),
        (create, {"team": "équipe"}, [("team", "INVALID_CHARACTERS")]),
        (create, {"name": "A Laptop"}, [("name", "INVALID_CHARACTERS")]),
        (create, {"scopes": ["chat", "fly", "chat"]}, [("scopes[1]", "UNKNOWN_VALUE"), ("scopes[2]", "DUPLICATE")]),
        (create, {"models": ["m", ""]}, [("models[1]", "REQUIRED")]),
        (create, {"models": [str(number) for number in range(101)]}, [("models", "TOO_MANY")]),
        (create, {"max_tokens_per_call": 0}, [("max_tokens_per_call", "OUT_OF_RANGE")]),
        (create, {"requests_per_minute": 0}, [("requests_per_minute", "OUT_OF_RANGE")]),
        (create, {"requests_per_day": 1_000_000_001}, [("requests_per_day", "OUT_OF_RANGE")]),
        (create, {"expire_time": "1969-12-31T23:59:59Z"}, [("expire_time", "OUT_OF_RANGE")]),
        (listing, {"state": 5}, [("state", "UNKNOWN_VALUE")]),
        (listing, {"page_size": 1001}, [("page_size", "OUT_OF_RANGE")]),
        (listing, {"page_token": "a\nb"}, [("page_token", "INVALID_CHARACTERS")]),
        (rotate, {"id": ""}, [("id", "REQUIRED")]),
        (rotate, {"id": "a" * 65}, [("id", "TOO_LARGE")]),
        (rotate, {"overlap_seconds": -1}, [("overlap_seconds", "OUT_OF_RANGE")]),
        (rotate, {"overlap_seconds": 2_592_001}, [("overlap_seconds", "OUT_OF_RANGE")]),
        (revoke, {"id": None}, [("id", "REQUIRED")]),
        (revoke, {"id": "';--\x00"}, [("id", "INVALID_CHARACTERS")]),
        (revoke, {"note": "a\nb"}, [("note", "INVALID_CHARACTERS")]),
        (revoke, {"note": "é" * 501}, [("note", "TOO_LARGE")]),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    check: Check, members: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert [(each.field, each.reason) for each in check(members)] == found


@pytest.mark.parametrize(
    ("check", "members"),
    [
        (create, {"models": ["m"], "max_tokens_per_call": 1_000_000}),
        (create, {"requests_per_minute": 1, "requests_per_day": 1_000_000_000}),
        (create, {"scopes": ["chat", "embed", "rerank", "usage:read", "keys:rotate", "audit:read", "admin"]}),
        (listing, {}),
        (listing, {"state": "ACCESS_KEY_STATE_REVOKED", "page_size": 1000, "team": "search"}),
        (rotate, {"overlap_seconds": 0}),
        (rotate, {"overlap_seconds": 2_592_000, "expire_time": "2027-01-01T00:00:00Z"}),
        (revoke, {"note": "é" * 500}),
    ],
)
def test_what_is_within_its_bounds_passes(check: Check, members: dict[str, Any]) -> None:
    assert check(members) == []
