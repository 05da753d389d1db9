import asyncio

import pytest
from yarl import URL

from clients.breaker import TRIAL_S, Refusal
from clients.cohere_key import CohereKey
from clients.errors import Billing, UpstreamError
from clients.key_renewal import RENEWAL_WAIT_S
from clients.key_ring import KeyRing
from clients.slot import Slot
from cohort.v1.error_reason_pb2 import ErrorReason

HERE = URL("http://127.0.0.1")
V1, V2, V3 = (CohereKey(f"value{version}", version) for version in (1, 2, 3))


class Ring(KeyRing):
    """A ring with a clock that stands, and what it told."""

    def __init__(
        self,
        current: CohereKey | None = None,
        previous: CohereKey | None = None,
        overlap_end_us: int | None = None,
    ) -> None:
        self.time_s, self.time_us = 100.0, 1_000_000
        super().__init__(clock_s=lambda: self.time_s, now_us=lambda: self.time_us)
        self.told: list[tuple[object, ...]] = []
        self.listener = self
        self.renewals = 0
        self.found: list[CohereKey] = []
        """What the source has at each renewal."""
        self.renew = self._renewed
        self.use(current, previous, overlap_end_us)

    def refused(self, version: int, refusal: Refusal, endpoint: str) -> None:
        self.told.append(("refused", version, refusal, endpoint))

    def taken_again(self, version: int) -> None:
        self.told.append(("taken again", version))

    def survived(self, refused: int, survivor: int) -> None:
        self.told.append(("survived", refused, survivor))

    async def _renewed(self) -> None:
        self.renewals += 1
        await asyncio.sleep(0)
        if self.found:
            self.use(self.found.pop(0), self.in_use)

    async def attempt(self, *statuses: int, endpoint: str = "chat") -> list[int]:
        """One call, answered so attempt by attempt; gives the versions that were used."""
        used = []
        for status in statuses:
            slot = await self.begun(endpoint)
            used.append(slot.key.version)
            self.answered(slot, endpoint, status)
            if status not in {401, 403} or not await self.another(slot.key, endpoint):
                break
        return used

    async def begun(self, endpoint: str = "chat") -> Slot:
        leave = await self.leave(endpoint)
        return Slot(leave.key, HERE, begun_s=leave.begun_s, trial=leave.trial)

    async def reason(self, endpoint: str = "chat") -> str:
        """What a call is refused with before anything is sent."""
        with pytest.raises(UpstreamError) as raised:
            await self.leave(endpoint)
        assert (raised.value.billing, raised.value.status) == (Billing.NONE, None)
        return ErrorReason.Name(raised.value.reason).removeprefix("ERROR_REASON_")


async def test_a_team_without_a_key_is_told_so_once_its_source_was_read_for_its_first_call() -> None:
    ring = Ring()

    assert [await ring.reason() for _ in range(3)] == ["COHERE_KEY_MISSING"] * 3
    assert ring.renewals == 1


async def test_the_first_call_of_a_team_waits_for_its_key_to_be_read() -> None:
    ring = Ring()
    ring.found = [V1]

    assert await ring.attempt(200) == [1]


async def test_a_rejected_version_gives_way_to_what_the_source_has() -> None:
    ring = Ring(V1)
    ring.found = [V2]

    assert await ring.attempt(401, 200) == [1, 2]
    assert ring.told == [("refused", 1, Refusal.REJECTED, "")]
    assert not ring.rejected


async def test_a_rejected_version_with_nothing_to_take_its_place_refuses_at_once_without_sending() -> None:
    ring = Ring(V1)

    assert await ring.attempt(401, 200) == [1]
    assert await ring.reason("chat") == "COHERE_KEY_REJECTED"
    assert await ring.reason("embed") == "COHERE_KEY_REJECTED"
    assert (ring.renewals, ring.refusal) == (1, Refusal.REJECTED)


async def test_many_refusals_of_one_version_read_the_source_once() -> None:
    ring = Ring(V1)
    slots = [await ring.begun() for _ in range(50)]
    for slot in slots:
        ring.answered(slot, "chat", 401)
    ring.found = [V2]
    others = await asyncio.gather(*(ring.another(slot.key, "chat") for slot in slots))

    assert (all(others), ring.renewals, len(ring.told)) == (True, 1, 1)


async def test_a_refusal_during_a_renewal_reads_the_source_again_for_it_may_have_changed_meanwhile() -> None:
    ring = Ring(V1)
    slot = await ring.begun()
    periodic = asyncio.create_task(ring.renewed())
    while not ring.renewals:
        await asyncio.sleep(0)
    ring.answered(slot, "chat", 401)

    assert not await ring.another(slot.key, "chat")
    await periodic
    assert ring.renewals == 2


async def test_a_late_refusal_of_a_version_that_was_replaced_says_nothing_of_the_next() -> None:
    ring = Ring(V1)
    late = await ring.begun()
    ring.use(V2)
    ring.answered(late, "chat", 401)

    assert await ring.another(late.key, "chat")
    assert (ring.renewals, ring.told, await ring.attempt(200)) == (0, [], [2])


async def test_a_version_in_its_overlap_takes_over_and_that_is_told_once() -> None:
    ring = Ring(V2, V1)

    assert await ring.attempt(401, 200) == [2, 1]
    assert await ring.attempt(200) == [1]
    assert ring.told == [("refused", 2, Refusal.REJECTED, ""), ("survived", 2, 1)]
    assert (ring.refusal, ring.rejected) == (None, True)


async def test_a_call_that_began_before_the_refusal_is_no_survivor_of_it() -> None:
    ring = Ring(V1)
    slow = await ring.begun()
    ring.use(V2, V1)
    ring.time_s += 1
    await ring.attempt(401)
    ring.answered(slow, "chat", 200)

    assert ("survived", 2, 1) not in ring.told


async def test_a_version_whose_overlap_is_over_is_not_fallen_back_on() -> None:
    ring = Ring(V2, V1, overlap_end_us=2_000_000)
    before = ring.previous
    ring.time_us = 2_000_000

    assert (before, ring.previous) == (V1, None)
    assert await ring.attempt(401, 200) == [2]
    assert await ring.reason() == "COHERE_KEY_REJECTED"


async def test_when_both_versions_are_rejected_calls_are_refused() -> None:
    ring = Ring(V2, V1)

    assert await ring.attempt(401, 401, 401) == [2, 1]
    assert await ring.reason() == "COHERE_KEY_REJECTED"
    assert ring.refusal is Refusal.REJECTED


async def test_a_version_that_may_not_call_one_endpoint_gives_way_there_alone() -> None:
    ring = Ring(V2, V1)

    assert await ring.attempt(403, 200, endpoint="embed") == [2, 1]
    assert await ring.attempt(200, endpoint="chat") == [2]
    assert ring.told == [("refused", 2, Refusal.FORBIDDEN, "embed"), ("survived", 2, 1)]
    assert (ring.forbidden_endpoints, ring.renewals) == (["embed"], 0)


async def test_an_unpaid_account_is_not_helped_by_its_previous_key_and_one_call_finds_out_when_it_is_paid() -> None:
    ring = Ring(V2, V1)

    assert await ring.attempt(402) == [2]
    assert await ring.reason("rerank") == "COHERE_BILLING"
    ring.time_s += TRIAL_S
    trial = await ring.begun()
    assert trial.trial
    assert await ring.reason() == "COHERE_BILLING"
    ring.unused(trial, "chat")
    assert await ring.attempt(200) == [2]
    assert await ring.attempt(200) == [2]
    assert ring.told[-1] == ("taken again", 2)


async def test_a_new_version_begins_with_nothing_against_it_and_the_old_one_keeps_what_there_is() -> None:
    ring = Ring(V1)
    await ring.attempt(402)
    ring.use(V2, V1)
    assert await ring.attempt(200) == [2]
    ring.use(V1)

    assert await ring.reason() == "COHERE_BILLING"


async def test_a_check_opens_and_closes_as_calls_do() -> None:
    ring = Ring(V1)
    ring.checked(V1, Refusal.REJECTED, ring.now_s())
    assert (await ring.reason(), ring.checked_at_us) == ("COHERE_KEY_REJECTED", 1_000_000)
    ring.time_s += 1
    ring.checked(V1, None, ring.now_s())
    ring.checked(V2, Refusal.REJECTED, ring.now_s())

    assert await ring.attempt(200) == [1]
    assert ring.told == [("refused", 1, Refusal.REJECTED, ""), ("taken again", 1)]


async def test_a_source_that_hangs_holds_no_call_up_for_long_and_no_later_call_at_all() -> None:
    ring = Ring(V1)
    hanging = asyncio.Event()
    slot = await ring.begun()
    ring.renew = hanging.wait
    ring.answered(slot, "chat", 401)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    assert not await ring.another(slot.key, "chat")
    waited_s = loop.time() - began_s
    ring.time_s += RENEWAL_WAIT_S
    began_s = loop.time()

    assert await ring.reason() == "COHERE_KEY_REJECTED"
    assert loop.time() - began_s < RENEWAL_WAIT_S / 2
    assert RENEWAL_WAIT_S * 0.9 < waited_s < 1.0
    ring.close()


async def test_a_renewal_that_fails_leaves_what_there_is_and_is_told_without_its_words() -> None:
    ring = Ring(V2, V1)

    async def failing() -> None:
        raise RuntimeError("value2")

    ring.renew = failing
    assert await ring.attempt(401, 200) == [2, 1]
    assert ring.problem == "the renewal failed: RuntimeError"


async def test_an_attempt_ends_on_the_version_it_began_with() -> None:
    ring = Ring(V1)
    slot = await ring.begun()
    ring.use(V2, V1)
    ring.use(V3, V2)
    ring.answered(slot, "chat", 200)

    assert slot.key.authorization() == "Bearer value1"
    assert ring.told == []


def test_what_a_ring_says_of_itself_holds_no_value() -> None:
    ring = Ring(V2, V1)

    assert "value" not in repr(ring) + repr(vars(ring)) + repr(ring.in_use)


@pytest.mark.parametrize("value", ["", "two words", "line\nend", "kéy", "\x00", "a\x7f"])
def test_what_cannot_stand_in_a_header_is_no_version_and_is_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match="one word of printable ASCII") as raised:
        CohereKey(value, 1)

    assert not value or value not in str(raised.value)
