"""A new version of a key that Cohere refuses once it is in use, when something else goes wrong as well."""

from typing import Any

import pytest

from clients.sandbox.keys import Key, KeyState
from cohort.v1.team_pb2 import GetTeamRequest
from service.books.errors import BooksUnavailable
from service.cohere_keys import opening
from service.rotation.rotations import Rotations
from tests.e2e.cohort_service import Cohort
from tests.e2e.test_rotate_key import NEW, put, rotate, sends, service, until

__all__ = ["service"]


async def version_in_use(service: Cohort) -> int:
    answer = await service.admin.GetTeam(GetTeamRequest(team="demo"), metadata=service.key("admin"))
    return answer.team.cohere_key.version


async def test_a_roll_back_that_the_database_refused_is_made_once_it_answers(
    service: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "ROLL_BACK_AGAIN_S", 0.01)
    put(service, NEW)
    await rotate(service)
    make, refusals = Rotations.survived, iter([BooksUnavailable("the database does not answer")])

    async def refused_once(*told: Any) -> None:
        for refusal in refusals:
            raise refusal
        await make(*told)

    monkeypatch.setattr(Rotations, "survived", refused_once)
    service.sandbox.state.keys.add([Key("new", NEW, "sandbox-organization", KeyState.EXPIRED)])
    await sends(service)

    async def rolled_back() -> bool:
        return await version_in_use(service) == 1

    await until(rolled_back)
    assert len(service.lines("rotation not rolled back")) == 1
