"""What RPCs that show figures or records share: whose may be shown, times as µs, and page tokens."""

import base64
import datetime
from collections.abc import Sequence
from typing import Any, Protocol

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from service.books.operations import Operator
from service.call import Call
from service.errors import RequestInvalid, ScopeMissing
from service.identity.place import FIRST, CredentialPlace
from service.identity.scopes import ADMIN
from service.validation import Violation, ViolationReason

_INT_MAX = 2**63 - 1


class AsksForTeams(Protocol):
    """A request for the figures or records of one team or of all."""

    team: str
    all_teams: bool


def team_asked(call: Call, request: AsksForTeams) -> str | None:
    """The team whose figures or records are asked for; None for all.

    Raises:
        ScopeMissing: Any but the caller's own needs the scope `admin`.
    """
    if not request.all_teams:
        return one_team_asked(call, request.team)
    _require_operator(call)
    return None


def one_team_asked(call: Call, team: str) -> str:
    """The team that a request names, by default the caller's own.

    Raises:
        ScopeMissing: Any but the caller's own needs the scope `admin`.
    """
    own = call.caller.team
    if team not in {"", own}:
        _require_operator(call)
    return team or own


def require_valid(violations: list[Violation]) -> None:
    """Refuses a request in which validation has found anything.

    Raises:
        RequestInvalid: It has.
    """
    if violations:
        raise RequestInvalid(violations)


def operator_of(call: Call, note: str = "") -> Operator:
    """Who asks for a change, and why, as records name it."""
    return Operator(f"{call.caller.team}/{call.caller.name}", note)


def credential_place_of(page_token: str) -> CredentialPlace:
    """Where the page before ended, in a list of access keys or service accounts; `FIRST` without a token.

    Raises:
        RequestInvalid: It is no token of this RPC.
    """
    return CredentialPlace(*place_of(page_token, (str, str, int, str))) if page_token else FIRST


def day_of(days: int) -> str:
    """A day as requests and answers write it; "" for 0.

    Args:
        days: Since 1970.
    """
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=days)).isoformat() if days else ""


def at_us_of(time: Timestamp) -> int:
    """A bound in whole µs; what is finer is rounded up, as whole µs are compared with it."""
    return time.seconds * 1_000_000 - (-time.nanos // 1000)


def page_token_of(place: Sequence[int | str]) -> str:
    """Where a page ended, as an opaque token."""
    return base64.urlsafe_b64encode(orjson.dumps([*place])).decode().rstrip("=")


def place_of(page_token: str, shape: tuple[type[int | str], ...]) -> list[Any]:
    """Where the page before ended: what `page_token_of` was given.

    Args:
        page_token: As the caller sent it, not "".
        shape: The types of the place's parts.

    Raises:
        RequestInvalid: It is no token of this RPC.
    """
    try:
        place = orjson.loads(base64.b64decode(page_token + "=" * (-len(page_token) % 4), b"-_", validate=True))
    except ValueError:
        place = None
    if not isinstance(place, list) or tuple(map(type, place)) != shape or not all(map(_is_storable, place)):
        violation = Violation("page_token", ViolationReason.UNKNOWN_VALUE, "is not a next_page_token of this method")
        raise RequestInvalid([violation])
    return place


def _require_operator(call: Call) -> None:
    if ADMIN not in call.caller.scopes:
        raise ScopeMissing(f"{call.rpc} for other teams", ADMIN)


def _is_storable(part: int | str) -> bool:
    return part.isprintable() if isinstance(part, str) else abs(part) <= _INT_MAX
