"""What a check says of a Cohere key: whether it is good, why not, and what to do. Never a part of the key."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from clients.breaker import Refusal
from clients.key_shape import Flaw, FlawKind


class KeyState(enum.StrEnum):
    """Whether Cohere takes a key."""

    GOOD = "good"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """Cohere could not be asked, or did not say: no reason to refuse the key."""


class KeyCause(enum.StrEnum):
    """Why a key is not good, or why that is not known."""

    NOT_SET = "not_set"
    MISTYPED = "mistyped"
    REJECTED = "rejected"
    """Cohere refuses it (HTTP 401): expired, revoked, or mistyped in a way that does not show."""
    FORBIDDEN = "forbidden"
    """Cohere knows it, and does not let it do this (HTTP 403)."""
    UNPAID = "unpaid"
    """Its account has no payment method or has met its cap (HTTP 402)."""
    NOT_ASKED = "not_asked"
    """Cohere could not be asked."""


@dataclass(frozen=True, slots=True)
class KeyVerdict:
    """What a check found.

    Attributes:
        state: Whether Cohere takes the key.
        cause: Why not, or None.
        message: What was found, for operators.
        advice: What to do about it, or "".
        organization_id: Whose key it is at Cohere, or "" if Cohere does not say.
        owner_id: Which user's or service's it is there, or "".
        models: Endpoint → names of the models that the key may use there; None if Cohere did not list them.
        trial: Whether its answers carry the headers of a trial key; None if there was no answer to tell by.
    """

    state: KeyState
    cause: KeyCause | None
    message: str
    advice: str = ""
    organization_id: str = ""
    owner_id: str = ""
    models: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    trial: bool | None = None

    @property
    def refusal(self) -> Refusal | None:
        """What it says against every call with the key; a 403 may be about the check alone."""
        return _REFUSALS.get(self.cause) if self.cause is not None and self.state is KeyState.REFUSED else None


_REFUSALS = {
    KeyCause.NOT_SET: Refusal.REJECTED,
    KeyCause.MISTYPED: Refusal.REJECTED,
    KeyCause.REJECTED: Refusal.REJECTED,
    KeyCause.UNPAID: Refusal.UNPAID,
}
_TOO_MANY, _AT_FAULT = 429, 500
_RENEW = "make a new key in Cohere's dashboard (API keys), put it into the source, and revoke the old one"


def not_set(problem: str, advice: str = "put the team's Cohere key into its source") -> KeyVerdict:
    """There is no value to check."""
    return KeyVerdict(KeyState.REFUSED, KeyCause.NOT_SET, problem, advice)


def of_flaw(flaw: Flaw) -> KeyVerdict:
    """The value is no key as it is written; Cohere was not asked."""
    cause = KeyCause.NOT_SET if flaw.kind is FlawKind.EMPTY else KeyCause.MISTYPED
    return KeyVerdict(KeyState.REFUSED, cause, f"the value {flaw.problem}", flaw.advice)


def of_status(status: int, flaw: Flaw | None) -> KeyVerdict:
    """Cohere answered the check with another status than 200.

    Args:
        status: HTTP status.
        flaw: What is unusual about the value, which makes a typing error the likely cause of a 401.
    """
    told = f"Cohere answered the check with HTTP {status}"
    match status:
        case 401 if flaw is not None:
            message = f"Cohere refuses the key (HTTP 401), and the value {flaw.problem}"
            return KeyVerdict(KeyState.REFUSED, KeyCause.MISTYPED, message, flaw.advice)
        case 401:
            message = "Cohere refuses the key (HTTP 401): it has expired or was revoked"
            return KeyVerdict(KeyState.REFUSED, KeyCause.REJECTED, message, _RENEW)
        case 402:
            message = "the key's account has no payment method, or has met its cap (HTTP 402)"
            advice = "add a payment method in Cohere's dashboard (Billing), or raise the cap"
            return KeyVerdict(KeyState.REFUSED, KeyCause.UNPAID, message, advice)
        case 403:
            message = "Cohere knows the key, and does not let it do this (HTTP 403)"
            advice = "use a key of a role that may, or have the owner of the organisation allow it"
            return KeyVerdict(KeyState.REFUSED, KeyCause.FORBIDDEN, message, advice)
        case 404:
            return not_asked(told, "this Cohere has no check of keys: its first calls will tell")
        case _ if status == _TOO_MANY or status >= _AT_FAULT:
            return not_asked(told, "nothing for now: it says nothing of the key; check again in a while")
        case _:
            return not_asked(told)


def declared_invalid(flaw: Flaw | None) -> KeyVerdict:
    """Cohere answered the check with `"valid": false`."""
    if flaw is not None:
        message = f"Cohere does not know the key, and the value {flaw.problem}"
        return KeyVerdict(KeyState.REFUSED, KeyCause.MISTYPED, message, flaw.advice)
    message = "Cohere says that the key is not valid: it has expired or was revoked"
    return KeyVerdict(KeyState.REFUSED, KeyCause.REJECTED, message, _RENEW)


def not_asked(problem: str, advice: str = "see whether cohere.base_url is right and reachable from here") -> KeyVerdict:
    """Cohere did not say whether it takes the key."""
    return KeyVerdict(KeyState.UNKNOWN, KeyCause.NOT_ASKED, problem, advice)
