"""The auth interceptor by itself: which scopes let an access key pass, and what a refusal names."""

from types import SimpleNamespace
from typing import Any

import pytest

from service.call import Call
from service.errors import ScopeMissing
from service.identity.principal import Principal
from service.identity.scopes import SCOPES_OF_RPC
from tests.unit.service.stand_ins import auth_by


async def let_in(rpc: str, *scopes: str) -> Call:
    """Passes a call of a principal with *scopes* through the interceptor."""
    principal = Principal("demo", "tests", frozenset(scopes), "access_key", "abc")
    snapshot: Any = SimpleNamespace(policies={"demo": None})
    call = Call(rpc, snapshot, 0.0, metadata=(("x-api-key", "cohort_test_abc_secret"),))
    context: Any = None
    passed: list[Call] = []

    async def proceed(call: Call, _: object) -> None:
        passed.append(call)

    await auth_by(lambda _: principal).intercept(call, context, proceed)
    (only,) = passed
    return only


@pytest.mark.parametrize(("rpc", "scope"), [(rpc, scope) for rpc, scopes in SCOPES_OF_RPC.items() for scope in scopes])
async def test_any_one_of_its_scopes_opens_an_rpc(rpc: str, scope: str) -> None:
    assert (await let_in(rpc, scope)).caller.scopes == {scope}


@pytest.mark.parametrize("rpc", SCOPES_OF_RPC)
async def test_every_other_scope_is_refused_and_the_narrowest_one_named(rpc: str) -> None:
    others = {scope for scopes in SCOPES_OF_RPC.values() for scope in scopes} - set(SCOPES_OF_RPC[rpc])
    with pytest.raises(ScopeMissing) as refused:
        await let_in(rpc, *others)

    assert refused.value.metadata == {"scope": SCOPES_OF_RPC[rpc][0]}


def test_only_operators_open_what_changes_a_team() -> None:
    changing = ("SetTeamFrozen", "AdjustBudget")

    assert {SCOPES_OF_RPC[f"/cohort.v1.AdminService/{rpc}"] for rpc in changing} == {("admin",)}
