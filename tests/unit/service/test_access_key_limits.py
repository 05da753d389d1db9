"""Access keys with limits of their own, in front of both databases: how they are shown, and who may rotate them."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from service.identity.principal import OwnLimits
from service.storage.database import Database
from tests.e2e.requests import refused
from tests.unit.service.key_replica import CALLERS, Replica, key_replica


@pytest.fixture
async def replica(database: Database) -> AsyncIterator[Replica]:
    async with key_replica(database) as made:
        yield made


async def test_a_keys_limits_are_listed_and_stand_in_its_notice(replica: Replica) -> None:
    made = await replica.create(requests_per_minute=6)
    (listed,) = await replica.listed()
    (notice,) = await replica.notices()

    assert (listed.requests_per_minute, listed.HasField("requests_per_day")) == (6, False)
    assert (notice["requests_per_minute"], notice["requests_per_day"]) == (6, None)
    assert replica.principal_of(made.secret).limits == OwnLimits(f"access_key:{made.access_key.id}", 6, None)


async def test_a_key_without_limits_of_its_own_has_none(replica: Replica) -> None:
    made = await replica.create()

    assert replica.principal_of(made.secret).limits is None
    assert not made.access_key.HasField("requests_per_minute")


async def test_whose_requests_are_limited_rotates_no_key_but_those_that_are_counted_with_its_own(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = (await replica.create(scopes=["chat"], requests_per_day=5)).access_key
    other = (await replica.create(scopes=["chat"], requests_per_day=5)).access_key
    limits = OwnLimits(f"access_key:{own.id}", None, 5)
    monkeypatch.setitem(CALLERS, "limited", dataclasses.replace(CALLERS["rotator"], limits=limits))
    limited = [("x-api-key", "limited")]
    second = await replica.rotate(own.id, limited)
    third = await replica.rotate(second.access_key.id, limited)
    refusal = await refused(replica.rotate(other.id, limited))

    assert replica.principal_of(third.secret).limits == limits
    assert (refusal.reason, refusal.info.metadata["scope"]) == ("SCOPE_MISSING", "admin")
