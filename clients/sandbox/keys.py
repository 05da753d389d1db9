"""The Cohere keys the sandbox accepts: well-known ones in every state, and those added while it runs."""

import enum
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clients.sandbox.errors import CohereError

KEYS_MAX = 1000
NAMES_MAX = 10_000  # ever, until a reset: bill and rate limits keep a line for each


class KeyState(enum.StrEnum):
    """What Cohere thinks of a key."""

    ACTIVE = "active"
    EXPIRED = "expired"
    NO_BILLING = "no_billing"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    MONTHLY_CAP = "monthly_cap"


_REFUSALS = {
    KeyState.EXPIRED: (401, "invalid api token"),
    KeyState.NO_BILLING: (402, "Please add or update your payment method to continue"),
    KeyState.FORBIDDEN: (403, "this api key is not permitted to use this endpoint"),
    KeyState.RATE_LIMITED: (
        429,
        "You are past the per minute request limit, please wait and try again later.",
    ),
    KeyState.MONTHLY_CAP: (429, "You are using a Trial key, which is limited to 1000 API calls / month."),
}


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A Cohere key as its owner's account has it.

    Attributes:
        name: What bill, records and faults call it.
        secret: What a caller sends as its bearer token.
        trial: True for a trial key, with its headers and rate limits.
    """

    name: str
    secret: str
    organization_id: str
    state: KeyState = KeyState.ACTIVE
    trial: bool = False

    def __repr__(self) -> str:
        return f"Key({self.name!r}, {self.state})"

    def described(self) -> dict[str, Any]:
        """All but the secret."""
        return {
            "name": self.name,
            "organization_id": self.organization_id,
            "state": self.state,
            "trial": self.trial,
        }

    def check(self) -> None:
        """Raises what Cohere answers to a key in this state."""
        if self.state in _REFUSALS:
            raise CohereError(*_REFUSALS[self.state])


def _well_known(state: KeyState, suffix: str, *, trial: bool = False) -> Key:
    return Key(f"sandbox-{suffix}", f"sandbox-{suffix}", "sandbox-organization", state, trial)


# Their names are their secrets: there is nothing to protect.
WELL_KNOWN = (
    _well_known(KeyState.ACTIVE, "production"),
    _well_known(KeyState.ACTIVE, "trial", trial=True),
    _well_known(KeyState.EXPIRED, "expired"),
    _well_known(KeyState.NO_BILLING, "no-billing"),
    _well_known(KeyState.FORBIDDEN, "forbidden"),
    _well_known(KeyState.RATE_LIMITED, "rate-limited"),
    _well_known(KeyState.MONTHLY_CAP, "monthly-cap", trial=True),
)


class KeyRing:
    """Which keys are valid now."""

    def __init__(self) -> None:
        self._by_secret: dict[str, Key] = {}
        self._names: set[str] = set()
        self.reset()

    def reset(self) -> None:
        """Leaves the well-known keys alone."""
        self._by_secret = {key.secret: key for key in WELL_KNOWN}
        self._names = {key.name for key in WELL_KNOWN}

    def add(self, keys: Iterable[Key]) -> None:
        """Adds keys, or changes those with the same secret.

        Raises:
            ValueError: More than `KEYS_MAX` keys, or `NAMES_MAX` names; nothing is changed then.
        """
        self._set(self._by_secret | {key.secret: key for key in keys})

    def replace(self, keys: Iterable[Key]) -> None:
        """Makes *keys* the only valid ones beside the well-known, as a step of a rotation does.

        Raises:
            ValueError: As `add`.
        """
        self._set({key.secret: key for key in (*WELL_KNOWN, *keys)})

    def _set(self, by_secret: dict[str, Key]) -> None:
        names = self._names | {key.name for key in by_secret.values()}
        if len(by_secret) > KEYS_MAX or len(names) > NAMES_MAX:
            raise ValueError(f"at most {KEYS_MAX} keys, and {NAMES_MAX} names until a reset")
        self._by_secret, self._names = by_secret, names

    def all(self) -> list[Key]:
        """Every valid key."""
        return list(self._by_secret.values())

    def find(self, authorization: str | None) -> Key | None:
        """The key of an `Authorization` header, None if there is none or it is unknown."""
        return self._by_secret.get(_bearer(authorization))

    def require(self, authorization: str | None) -> Key:
        """The key of an `Authorization` header.

        Raises:
            CohereError: 401 if it is missing or unknown.
        """
        key = self.find(authorization)
        if key is None:
            raise CohereError(401, "invalid api token" if _bearer(authorization) else "no api key supplied")
        return key


def key_of(value: Any) -> Key:
    """A key given over the control API: `{key, name?, organization_id?, state?, trial?}`.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, dict) or not isinstance(value.get("key"), str) or not value["key"]:
        raise ValueError("a key is an object with `key`, a string")
    secret = value["key"]
    if strange := set(value) - {"key", "name", "organization_id", "state", "trial"}:
        raise ValueError(f"a key has no {', '.join(sorted(strange))}")
    name = value.get("name", f"key-{hashlib.sha256(secret.encode()).hexdigest()[:8]}")
    organization_id = value.get("organization_id", "sandbox-organization")
    trial = value.get("trial", False)
    well_typed = isinstance(name, str) and isinstance(organization_id, str) and isinstance(trial, bool)
    if not well_typed:
        raise ValueError("`name` and `organization_id` are strings, `trial` is a boolean")
    return Key(name, secret, organization_id, KeyState(value.get("state", "active")), trial)


def _bearer(authorization: str | None) -> str:
    scheme, _, secret = (authorization or "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""
