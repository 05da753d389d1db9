"""The chain of one writer's records: each hash covers the record and the hash before it.

Whoever changes, drops, adds or moves a record changes every later hash; checkpoints keep some of them elsewhere.
Every field is preceded by its length, so that no two records have the same bytes under the hash.
"""

import struct
from hashlib import sha256

ROOT = bytes(32)
"""What stands before the first record of a writer, whose `seq` is 0."""

_DOMAIN = b"cohort-audit-1"
_length = struct.Struct(">Q").pack


def link(before: bytes, writer_id: str, seq: int, kind: str, call_id: str, team: str, at_us: int, body: bytes) -> bytes:
    """The hash of a record in its place.

    Args:
        before: The hash of the writer's record *seq* - 1, 32 bytes; `ROOT` for the first one.
        writer_id: The process that writes.
        seq: The record's number among those of its writer, from 0 without gaps.
        kind: intent, outcome, answer or notice.
        call_id: Empty in a notice.
        team: Empty where no team is known.
        at_us: When, in µs since the epoch.
        body: JSON in UTF-8, exactly as it is stored.

    Returns:
        SHA-256 of `cohort-audit-1`, *before*, and each other field as 8 bytes of length (big-endian) and its bytes;
        numbers are decimal ASCII.
    """
    fields = (writer_id.encode(), b"%d" % seq, kind.encode(), call_id.encode(), team.encode(), b"%d" % at_us, body)
    record = sha256(_DOMAIN + before)
    for field in fields:
        record.update(_length(len(field)) + field)
    return record.digest()
