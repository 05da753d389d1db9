"""The form of a SPIFFE id: which trust domain one is of, and that it names a workload.

By the SPIFFE-ID standard, section 2: no upper case in a trust domain, nothing escaped, no query, fragment, port or
user, no empty or relative part of the path. Two ids are the same only if they are the same text.
"""

import re

SPIFFE_ID_BYTES_MAX = 2048

_SHAPE = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)", re.ASCII)


def trust_domain_of(spiffe_id: str) -> str | None:
    """The trust domain of a workload's SPIFFE id; None if it is not the id of a workload."""
    if len(spiffe_id) > SPIFFE_ID_BYTES_MAX:
        return None
    found = _SHAPE.fullmatch(spiffe_id)
    if found is None or not {".", ".."}.isdisjoint(found[2].split("/")):
        return None
    return found[1]
