"""The one credential in a call's metadata, or why there is not exactly one."""

from collections.abc import Iterable
from typing import NamedTuple

from service.errors import CredentialAmbiguous
from service.identity.refusals import CredentialRefused

CREDENTIAL_CHARS_MAX = 8192
METADATA_BYTES_MAX = 16 * 1024


class Credential(NamedTuple):
    """What a caller presented. Never logged."""

    value: str
    address: str = ""
    """Where it came from, as gRPC tells it."""

    def __repr__(self) -> str:
        return "<Credential>"


def credential_of(metadata: Iterable[tuple[str, str | bytes]] | None, address: str = "") -> Credential | None:
    """Finds the credential: `x-api-key: KEY` or `authorization: Bearer CREDENTIAL`, at most one of all.

    Args:
        metadata: The call's.
        address: Where it came from.

    Raises:
        CredentialAmbiguous: More than one, alike or not.
        CredentialRefused: It is empty, too long, of another scheme, or not text; or there is too much beside it.
    """
    found: list[tuple[str, str | bytes]] = []
    metadata_bytes = 0
    for key, value in metadata or ():
        metadata_bytes += len(key) + len(value)
        if key in {"x-api-key", "authorization"}:
            found.append((key, value))
    # gRPC refuses this itself, but only once the caller has acknowledged its SETTINGS, as only an attacker does not:
    # megabytes on each stream would stay for as long as the body may take.
    if metadata_bytes > METADATA_BYTES_MAX:
        raise CredentialRefused("too much metadata")
    if not found:
        return None
    if len(found) > 1:
        raise CredentialAmbiguous
    key, value = found[0]
    if not isinstance(value, str):
        raise CredentialRefused("not text")
    if key == "authorization":
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "bearer":
            raise CredentialRefused("another scheme than Bearer")
        value = value.strip()
    if not value or len(value) > CREDENTIAL_CHARS_MAX:
        raise CredentialRefused("empty or too long")
    return Credential(value, address)
