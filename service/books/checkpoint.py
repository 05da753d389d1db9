"""What a checkpoint says: how far every chain had come, in a signed body that names the checkpoint before it.

The chains show what was changed inside them; a checkpoint kept elsewhere shows what was cut off their ends.
The body is stored as the exact bytes that are hashed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from service.books.signing import SigningKey

BEFORE_FIRST = bytes(32)
"""What the first checkpoint, number 1, names as the one before it."""

_DOMAIN = b"cohort-checkpoint-1"
_KINDS = ("intent", "outcome", "answer", "notice")


class Malformed(ValueError):
    """A body that no checkpoint has."""


class Head(NamedTuple):
    """The last record of a writer, when the checkpoint was made."""

    writer_id: str
    seq: int
    hash: bytes


class Committed(NamedTuple):
    """What a budget's period had spent and held, when the checkpoint was made."""

    budget_id: str
    period_start_us: int
    period_end_us: int
    committed_nanos: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint's statements."""

    number: int
    at_us: int
    """By the database's clock."""
    previous: bytes
    """The hash of the checkpoint before it."""
    key_id: str
    """Which key signed it."""
    heads: Sequence[Head]
    """Of every writer that wrote since the checkpoint before it, and of some that wrote shortly before that."""
    records: Sequence[int]
    """How many intents, outcomes, answers and notices all writers had written, ever."""
    committed: Sequence[Committed]
    """The budgets' periods in force."""

    def body(self) -> bytes:
        """The exact bytes to store and to hash: JSON in UTF-8."""
        return orjson.dumps(
            {
                "number": self.number,
                "at_us": self.at_us,
                "previous": self.previous.hex(),
                "key": self.key_id,
                "heads": [[head.writer_id, head.seq, head.hash.hex()] for head in self.heads],
                "records": dict(zip(_KINDS, self.records, strict=True)),
                "committed": [list(each) for each in self.committed],
            }
        )


class Signed(NamedTuple):
    """A checkpoint as the table and the files keep it."""

    number: int
    body: bytes
    hash: bytes
    signature: bytes

    def line(self) -> bytes:
        """The checkpoint as one line of JSON."""
        return (
            orjson.dumps(
                {
                    "number": self.number,
                    "body": self.body.decode(),
                    "hash": self.hash.hex(),
                    "signature": self.signature.hex(),
                }
            )
            + b"\n"
        )


def signed(checkpoint: Checkpoint, key: SigningKey) -> Signed:
    """Signs a checkpoint that names *key*."""
    body = checkpoint.body()
    digest = hash_of(body)
    return Signed(checkpoint.number, body, digest, key.sign(digest))


def hash_of(body: bytes) -> bytes:
    """What the next checkpoint names, and what is signed: SHA-256 of `cohort-checkpoint-1` and the body."""
    return sha256(_DOMAIN + body).digest()


def parsed(body: bytes) -> Checkpoint:
    """Reads a body.

    Raises:
        Malformed: No checkpoint has this body.
    """
    try:
        fields = orjson.loads(body)
        checkpoint = Checkpoint(
            number=fields["number"],
            at_us=fields["at_us"],
            previous=bytes.fromhex(fields["previous"]),
            key_id=fields["key"],
            heads=[Head(writer_id, seq, bytes.fromhex(digest)) for writer_id, seq, digest in fields["heads"]],
            records=[fields["records"][kind] for kind in _KINDS],
            committed=[Committed(*each) for each in fields["committed"]],
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no body of a checkpoint: {error}") from None
    if not _is_typed(checkpoint) or checkpoint.body() != body:
        raise Malformed("no body of a checkpoint: written differently")
    return checkpoint


def line_parsed(line: bytes) -> Signed:
    """Reads a line of a checkpoint file.

    Raises:
        Malformed: No checkpoint is on this line.
    """
    try:
        fields = orjson.loads(line)
        found = Signed(
            fields["number"],
            fields["body"].encode(),
            bytes.fromhex(fields["hash"]),
            bytes.fromhex(fields["signature"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no line of a checkpoint file: {error}") from None
    if type(found.number) is not int or found.line().rstrip() != line.rstrip():
        raise Malformed("no line of a checkpoint file: written differently")
    return found


def _is_typed(checkpoint: Checkpoint) -> bool:
    numbers: list[Any] = [checkpoint.number, checkpoint.at_us, *checkpoint.records]
    texts: list[Any] = [checkpoint.key_id]
    for head in checkpoint.heads:
        texts.append(head.writer_id)
        numbers.append(head.seq)
    for each in checkpoint.committed:
        texts.append(each.budget_id)
        numbers += each[1:]
    return all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)
