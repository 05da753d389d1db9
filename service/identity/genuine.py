"""Which rows of the directory are in force: those that stand as they were sealed.

Looked at when a directory or other peppers come into force, so that no call pays for it. Of what is not in force an
operator is told once, and again when it is more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import structlog

from service.identity.access_keys import AccessKeyRecord
from service.identity.directory import Directory, ServiceAccountRecord
from service.identity.seals import Seals

_log = structlog.get_logger()

R = TypeVar("R", AccessKeyRecord, ServiceAccountRecord)


class Genuine:
    """Keeps apart what somebody else has written.

    Args:
        forged: Told of the ids whose rows do not bear their seal.
    """

    def __init__(self, forged: Callable[[Sequence[str]], object]) -> None:
        self._forged = forged
        self._told: frozenset[str] = frozenset()
        self._told_without: frozenset[str] = frozenset()

    def of(self, directory: Directory, seals: Seals) -> Directory:
        """The part of a directory that is in force."""
        keys, bad_keys = _parted(directory.access_keys, seals)
        accounts, bad_accounts = _parted(directory.accounts.values(), seals)
        self._tell([*bad_keys, *bad_accounts], seals)
        return Directory(directory.version, tuple(keys), {account.id: account for account in accounts})

    def _tell(self, bad: Sequence[AccessKeyRecord | ServiceAccountRecord], seals: Seals) -> None:
        without = frozenset(each.id for each in bad if each.sealed and not seals.knows(each.sealed.pepper_version))
        forged = frozenset(each.id for each in bad) - without
        if not self._told.issuperset(forged):
            self._forged(sorted(forged))
        if not self._told_without.issuperset(without):
            _log.warning("credentials under a pepper that the config does not have", count=len(without))
        self._told, self._told_without = forged, without


def _parted(records: Iterable[R], seals: Seals) -> tuple[list[R], list[R]]:
    good: list[R] = []
    bad: list[R] = []
    for each in records:
        # A revoked one bears no seal, and lets nobody in: it is kept so that the log can say so.
        is_in_force = each.revoked or (each.sealed is not None and seals.fit(each.sealed))
        (good if is_in_force else bad).append(each)
    return good, bad
