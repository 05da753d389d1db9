"""Access keys as people read them."""

from collections.abc import Sequence

from cohort.v1 import access_key_pb2
from cohort.v1.access_key_pb2 import AccessKey
from service.cli.table import table
from service.cli.times import told

STATES = {
    "active": access_key_pb2.ACCESS_KEY_STATE_ACTIVE,
    "replaced": access_key_pb2.ACCESS_KEY_STATE_REPLACED,
    "expired": access_key_pb2.ACCESS_KEY_STATE_EXPIRED,
    "revoked": access_key_pb2.ACCESS_KEY_STATE_REVOKED,
}
"""Words for the states."""

_WORDS = {state: word for word, state in STATES.items()}
_COLUMNS = ("TEAM", "NAME", "ID", "STATE", "ENDS", "SCOPES", "MODELS", "OUTPUT TOKENS", "REQUESTS", "LAST USED", "MADE")


def about(key: AccessKey) -> str:
    """One key in a sentence's part."""
    scopes = ", ".join(key.scopes)
    return f"access key {key.id} for {key.team}/{key.name} with the scopes {scopes}, until {told(key.expire_time)}"


def keys_table(keys: Sequence[AccessKey]) -> str:
    """All of them, in their order."""
    return table(_COLUMNS, map(_row, keys), right=("OUTPUT TOKENS",))


def _row(key: AccessKey) -> list[list[str]]:
    state = [_WORDS.get(key.state, "unknown")]
    if key.HasField("revoke_time"):
        state.append(told(key.revoke_time))
    if key.replaced_by:
        state.append(f"by {key.replaced_by}")
    return [
        [key.team],
        [key.name],
        [key.id],
        state,
        [told(key.expire_time)],
        [*key.scopes],
        [*key.models] or ["the team's"],
        [f"{key.max_tokens_per_call:,}" if key.HasField("max_tokens_per_call") else "the team's"],
        _requests(key) or ["the team's"],
        [key.last_used_day or "never"],
        [told(key.create_time), f"by {key.created_by}"],
    ]


def _requests(key: AccessKey) -> list[str]:
    windows = ((key.requests_per_minute, "minute"), (key.requests_per_day, "day"))
    return [f"{most:,} a {window}" for most, window in windows if most]
