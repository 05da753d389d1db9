"""Every RPC, with every kind of credential, in every state: who gets in, and what the others are told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from service.identity.scopes import ADMIN, SCOPES, SCOPES_OF_RPC
from tests.identity.minters import Holder, Presented, bearer
from tests.identity.rpcs import ENTRIES, OK, RPCS, TEAM, Code, Ended, Reason, narrowest
from tests.identity.scene import Scene, scene

AT_ONCE = 16
OTHER_TEAM = "ads"

SCOPE_MISSING = ("PERMISSION_DENIED", "SCOPE_MISSING")
REJECTED = ("UNAUTHENTICATED", "CREDENTIAL_REJECTED")
MISSING = ("UNAUTHENTICATED", "CREDENTIAL_MISSING")
AMBIGUOUS = ("UNAUTHENTICATED", "CREDENTIAL_AMBIGUOUS")
NO_HANDSHAKE = ("UNAVAILABLE", "")
"""TLS itself refuses: there is no connection, and nobody to say why."""


class Row(NamedTuple):
    """One call of the matrix, and how it has to end."""

    rpc: str
    kind: str
    situation: str
    shown: Presented
    expected: tuple[Code, Reason]
    foreign: bool = False
    """Nothing of `TEAM` may be in its answer."""


def rows(made: Scene) -> Iterator[Row]:
    for path, entry in ENTRIES.items():
        scopes, narrow = SCOPES_OF_RPC[path], narrowest(path)
        for kind, minter in made.minters.by_kind().items():
            for scope in sorted(SCOPES):
                expected = OK if scope in scopes else SCOPE_MISSING
                yield Row(path, kind, f"{scope} of the team", minter.mint(Holder(TEAM, scope)), expected)
            other = minter.mint(Holder(OTHER_TEAM, narrow))
            yield Row(path, kind, "another team", other, entry.other_team, foreign=narrow != ADMIN)
            if ADMIN in scopes:
                yield Row(path, kind, "admin of another team", minter.mint(Holder(OTHER_TEAM, ADMIN)), OK)
            revoked = minter.mint(Holder(TEAM, narrow, "revoked"))
            yield Row(path, kind, "revoked", revoked, REJECTED)
            expired = minter.mint(Holder(TEAM, narrow, "expired"))
            yield Row(path, kind, "expired", expired, NO_HANDSHAKE if expired.certificate else REJECTED)
            yield from two_at_once(made, path, kind, minter.mint(Holder(TEAM, narrow)))
        yield Row(path, "none", "at the port for all", Presented(), MISSING)
        yield Row(path, "none", "at the port for certificates", Presented(), NO_HANDSHAKE)


def two_at_once(made: Scene, path: str, kind: str, valid: Presented) -> Iterator[Row]:
    for second_kind in ("access key", "service account"):
        second = made.minters.by_kind()[second_kind].mint(Holder(TEAM, narrowest(path)))
        if valid.certificate is None:
            both = Presented(valid.metadata + second.metadata)
            yield Row(path, kind, f"and another {second_kind}", both, AMBIGUOUS)
            continue
        # A certificate below a credential is transport: the credential alone says who calls.
        both = Presented(second.metadata, valid.certificate)
        yield Row(path, kind, f"below {second_kind}", both, OK)
        wrong = bearer("cohort_test_nothing")
        yield Row(path, kind, f"below a wrong credential, not {second_kind}",
                  Presented(wrong.metadata, valid.certificate), REJECTED)  # fmt: skip


async def ended(made: Scene, row: Row) -> Ended:
    on_mtls = row.situation == "at the port for certificates"
    channel = made.mtls_channel() if on_mtls else made.channel(row.shown.certificate)
    return await RPCS[row.rpc].call(channel, ENTRIES[row.rpc].request(made), row.shown.metadata)


async def gathered(calls: list[Awaitable[Ended]]) -> list[Ended]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[Ended]) -> Ended:
        async with turns:
            return await call

    return await asyncio.gather(*map(one, calls))


def test_every_rpc_of_the_contract_has_an_entry() -> None:
    assert set(ENTRIES) == set(RPCS)


@pytest.mark.slow
async def test_who_may_call_what(tmp_path: Path) -> None:
    async with scene(tmp_path) as made:
        matrix = list(rows(made))
        results = await gathered([ended(made, row) for row in matrix])
        lines = made.lines()

    wrong = [
        f"{row.rpc} with {row.kind}, {row.situation}: {result.code} {result.reason}, not {' '.join(row.expected)}"
        for row, result in zip(matrix, results, strict=True)
        if (result.code, result.reason) != row.expected
    ]
    leaked = [
        row
        for row, result in zip(matrix, results, strict=True)
        if row.foreign and TEAM.encode() in result.answer + result.details
    ]
    counts = Counter(result.code for result in results)
    print(f"\nmatrix: {len(matrix)} calls, {len(RPCS)} RPCs, {dict(counts)}, {len(leaked)} leaks")
    assert wrong == []
    assert leaked == []
    assert not [line for line in lines if line.get("level") == "error"]
