"""The RPCs of access keys: validate → whose → books → directory → answer. A key itself is shown in the answer alone."""

import datetime
import functools
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from cohort.v1 import access_key_pb2
from cohort.v1 import error_reason_pb2 as reasons
from cohort.v1.access_key_pb2 import (
    AccessKey,
    AccessKeyState,
    CreateAccessKeyRequest,
    CreateAccessKeyResponse,
    ListAccessKeysRequest,
    ListAccessKeysResponse,
    RevokeAccessKeyRequest,
    RevokeAccessKeyResponse,
    RotateAccessKeyRequest,
    RotateAccessKeyResponse,
)
from service.books import ledger
from service.books.books import READ_WAIT_S, Books
from service.books.errors import CredentialUnknown, TeamUnknown
from service.call import Call, current_call
from service.context import Context
from service.errors import Refused, RequestInvalid, ScopeMissing
from service.identity import access_key_registry, stored_access_keys
from service.identity.access_key_registry import Change, Revoked, Rotated, Successor
from service.identity.access_key_rows import ACCESS_KEY_LIFETIME_MAX, LIFETIME_MAX_US, NewAccessKey
from service.identity.access_keys import MintedAccessKey, mint
from service.identity.identities import Identities
from service.identity.principal import Principal, holder_of
from service.identity.request_names import RequestName
from service.identity.scopes import ADMIN
from service.identity.seals import Seals
from service.identity.stored_access_keys import StoredAccessKey
from service.servicers.asking import credential_place_of, day_of, operator_of, page_token_of, require_valid
from service.validation import (
    Violation,
    ViolationReason,
    violations_of_create_access_key,
    violations_of_list_access_keys,
    violations_of_revoke_access_key,
    violations_of_rotate_access_key,
)

KEYS_DEFAULT = 100
OVERLAP_DEFAULT_S = 24 * 3600
CLOCKS_DIFFER_US = 300_000_000
"""How far a caller's clock may be ahead who asks for the longest life; the key does not live longer for it."""

_STATES: dict[str, AccessKeyState.ValueType] = {
    "ACTIVE": access_key_pb2.ACCESS_KEY_STATE_ACTIVE,
    "REPLACED": access_key_pb2.ACCESS_KEY_STATE_REPLACED,
    "EXPIRED": access_key_pb2.ACCESS_KEY_STATE_EXPIRED,
    "REVOKED": access_key_pb2.ACCESS_KEY_STATE_REVOKED,
}
_STATE_NAMES = {number: name for name, number in _STATES.items()}


class AccessKeyServicer:
    """The part of AdminService that makes, lists, rotates and revokes access keys.

    Args:
        books: Where they are kept.
        identities: Who may call, in this process: a change is in force here before it is answered.
    """

    def __init__(self, books: Books, identities: Identities) -> None:
        self._books = books
        self._identities = identities

    async def CreateAccessKey(self, request: CreateAccessKeyRequest, _: Context) -> CreateAccessKeyResponse:
        """Makes an access key, and shows it."""
        call = current_call()
        require_valid(violations_of_create_access_key(request))
        if request.team not in call.snapshot.policies:
            raise TeamUnknown(request.team)
        expires_at_us = await self._expiry(request.expire_time)
        minted = _minted(call, request.request_id, _content(request))
        new = NewAccessKey(
            id=minted.id,
            digest=minted.digest,
            pepper_version=minted.pepper_version,
            team=request.team,
            name=request.name,
            scopes=frozenset(request.scopes),
            expires_at_us=expires_at_us,
            models=frozenset(request.models),
            max_tokens_per_call=request.max_tokens_per_call if request.HasField("max_tokens_per_call") else None,
            requests_per_minute=request.requests_per_minute if request.HasField("requests_per_minute") else None,
            requests_per_day=request.requests_per_day if request.HasField("requests_per_day") else None,
        )
        work = access_key_registry.create(new, _change(call, request.request_id))
        stored: StoredAccessKey = await self._books.change(work)
        await self._identities.catch_up()
        response = CreateAccessKeyResponse(secret=minted.access_key)
        _fill(response.access_key, stored)
        return response

    async def ListAccessKeys(self, request: ListAccessKeysRequest, _: Context) -> ListAccessKeysResponse:
        """Lists access keys."""
        require_valid(violations_of_list_access_keys(request))
        page = await self._books.read(
            functools.partial(
                stored_access_keys.list_access_keys,
                team=request.team,
                state=_STATE_NAMES.get(request.state, ""),
                keys_max=request.page_size or KEYS_DEFAULT,
                after=credential_place_of(request.page_token),
            )
        )
        response = ListAccessKeysResponse(next_page_token=page_token_of(page.end) if page.end else "")
        for stored in page.keys:
            _fill(response.access_keys.add(), stored)
        return response

    async def RotateAccessKey(self, request: RotateAccessKeyRequest, _: Context) -> RotateAccessKeyResponse:
        """Makes an access key that may do what another one may, and shows it."""
        call = current_call()
        require_valid(violations_of_rotate_access_key(request))
        key = await self._books.glance(lambda tx: stored_access_keys.one(tx, request.id), READ_WAIT_S)
        _require_may_have(call, key)
        expires_at_us = await self._expiry(request.expire_time) if request.HasField("expire_time") else None
        is_granted = ADMIN in call.caller.scopes
        if not is_granted and expires_at_us is not None:
            _require_granted(key, expires_at_us)
        overlap_s = request.overlap_seconds if request.HasField("overlap_seconds") else OVERLAP_DEFAULT_S
        minted = _minted(call, request.request_id, ("rotate", request.id, overlap_s, _time(request)))
        successor = Successor(minted, expires_at_us, is_granted=is_granted)
        change = _change(call, request.request_id)
        rotated: Rotated = await self._books.change(
            access_key_registry.rotate(request.id, successor, overlap_s * 1_000_000, change)
        )
        await self._identities.catch_up()
        response = RotateAccessKeyResponse(secret=minted.access_key)
        _fill(response.access_key, rotated.new)
        _fill(response.replaced, rotated.old)
        return response

    async def RevokeAccessKey(self, request: RevokeAccessKeyRequest, _: Context) -> RevokeAccessKeyResponse:
        """Ends an access key."""
        call = current_call()
        require_valid(violations_of_revoke_access_key(request))
        by = operator_of(call, request.note)
        work = access_key_registry.revoke(request.id, by, with_successors=request.with_successors)
        revoked = await self._identities.revoke(work, _ended)
        response = RevokeAccessKeyResponse()
        _fill(response.access_key, revoked.key)
        for stored in revoked.successors:
            _fill(response.successors.add(), stored)
        return response

    async def _expiry(self, time: Timestamp) -> int:
        """When a new key is to end, µs since 1970.

        Raises:
            RequestInvalid: It is over, or too far away.
        """
        now_us, at_us = await self._books.glance(ledger.clock, READ_WAIT_S), time.ToMicroseconds()
        if not now_us < at_us <= now_us + LIFETIME_MAX_US + CLOCKS_DIFFER_US:
            bounds = f"must be after now and at most {ACCESS_KEY_LIFETIME_MAX.days} days from now"
            raise RequestInvalid([Violation("expire_time", ViolationReason.OUT_OF_RANGE, bounds)])
        return min(at_us, now_us + LIFETIME_MAX_US)


def _ended(revoked: Revoked) -> list[str]:
    return [stored.id for stored in (revoked.key, *revoked.successors) if stored.revoked_at_us]


def _require_may_have(call: Call, key: StoredAccessKey) -> None:
    """Who is shown a new key can do what that one may, and must be able to already.

    Raises:
        CredentialUnknown: It is another team's, of which only operators learn anything.
        ScopeMissing: It may do more than the caller.
    """
    caller = call.caller
    if ADMIN in caller.scopes:
        return
    if key.team != caller.team:
        raise CredentialUnknown(key.id)
    missing = sorted(set(key.scopes) - caller.scopes)
    if missing:
        raise ScopeMissing(f"{call.rpc} for this access key", missing[0])
    if _is_wider(key, caller):
        raise ScopeMissing(f"{call.rpc} for an access key of more models, tokens or requests", ADMIN)


def _is_wider(key: StoredAccessKey, caller: Principal) -> bool:
    if caller.models and not (key.models and caller.models.issuperset(key.models)):
        return True
    if caller.limits is not None and caller.limits.holder != holder_of(key.line):
        return True  # another key's requests would come to its own
    cap = caller.max_tokens_per_call
    return cap is not None and (key.max_tokens_per_call is None or key.max_tokens_per_call > cap)


def _require_granted(key: StoredAccessKey, expires_at_us: int) -> None:
    """Who has not the scope `admin` lets no key live longer than an operator has let the first of its line.

    Raises:
        RequestInvalid: They ask for more.
    """
    if expires_at_us > key.grant_expires_at_us:
        until = datetime.datetime.fromtimestamp(key.grant_expires_at_us / 1e6, datetime.UTC)
        bounds = f"must be at most {until:%Y-%m-%dT%H:%M:%SZ}, until when an operator let this key live"
        raise RequestInvalid([Violation("expire_time", ViolationReason.OUT_OF_RANGE, bounds)])


def _minted(call: Call, request_id: str, content: tuple[Any, ...]) -> MintedAccessKey:
    peppers = call.snapshot.peppers
    if not peppers:
        message = "there are no access keys here: the config names no pepper"
        raise Refused(reasons.ERROR_REASON_ACCESS_KEYS_OFF, message, {})
    named = RequestName(call.caller, request_id, content) if request_id else None
    return mint(call.snapshot.loaded.config.environment, peppers, call.snapshot.pepper_version, named)


def _content(request: CreateAccessKeyRequest) -> tuple[Any, ...]:
    return (
        "create", request.team, request.name, sorted(request.scopes), sorted(request.models),
        request.max_tokens_per_call, request.requests_per_minute, request.requests_per_day, _time(request),
    )  # fmt: skip


def _time(request: CreateAccessKeyRequest | RotateAccessKeyRequest) -> int:
    return request.expire_time.ToNanoseconds()


def _change(call: Call, request_id: str) -> Change:
    return Change(operator_of(call).principal, Seals(call.snapshot.peppers), request_id)


def _fill(told: AccessKey, stored: StoredAccessKey) -> None:
    told.id, told.team, told.name = stored.id, stored.team, stored.name
    told.scopes.extend(stored.scopes)
    told.models.extend(stored.models)
    if stored.max_tokens_per_call is not None:
        told.max_tokens_per_call = stored.max_tokens_per_call
    if stored.requests_per_minute is not None:
        told.requests_per_minute = stored.requests_per_minute
    if stored.requests_per_day is not None:
        told.requests_per_day = stored.requests_per_day
    told.state = _STATES[stored.state]
    told.create_time.FromMicroseconds(stored.created_at_us)
    told.expire_time.FromMicroseconds(stored.expires_at_us)
    if stored.revoked_at_us:
        told.revoke_time.FromMicroseconds(stored.revoked_at_us)
    told.last_used_day = day_of(stored.last_used_day)
    told.created_by = stored.created_by
    told.replaced_by = stored.replaced_by
    told.grant_expire_time.FromMicroseconds(stored.grant_expires_at_us)
