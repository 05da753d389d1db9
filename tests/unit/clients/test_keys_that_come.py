"""Which calls of a key ring wait for a version that is being checked, and which fail with a Cohere of two minds."""

import asyncio

from clients.breaker import DOUBTED_S, Refusal
from clients.key_renewal import RENEWAL_WAIT_S
from tests.unit.clients.test_key_ring import V1, V2, V3, Ring


async def checked_for_long(ring: Ring) -> None:
    """A renewal that finds another version; its check is slow."""
    ring.another_is_coming()
    await asyncio.sleep(RENEWAL_WAIT_S + 0.2)
    ring.use(V3, ring.in_use)


def found_good_after_all(ring: Ring) -> Ring:
    """The current version was refused, and a check contradicted that."""
    assert ring.in_use is not None
    ring.checked(ring.in_use, Refusal.REJECTED, ring.time_s)
    ring.checked(ring.in_use, None, ring.time_s)
    return ring


async def test_who_has_no_other_version_waits_for_it() -> None:
    ring = Ring(V1)
    ring.renew = lambda: checked_for_long(ring)

    assert await ring.attempt(401, 200) == [1, 3]


async def test_who_has_one_to_fall_back_on_does_not() -> None:
    ring = Ring(V2, V1)
    ring.renew = lambda: checked_for_long(ring)
    slot = await ring.begun()
    ring.answered(slot, "chat", 401)

    assert await ring.another(slot.key, "chat")
    ring.time_s += RENEWAL_WAIT_S
    assert (await ring.begun()).key == V1
    ring.close()


async def test_one_that_was_found_when_no_call_waited_makes_none_wait() -> None:
    ring = Ring(V1)
    ring.answered(await ring.begun(), "chat", 401)
    await ring.renewal_over()
    ring.time_s += RENEWAL_WAIT_S
    ring.renew = lambda: checked_for_long(ring)
    healing = asyncio.create_task(ring.renewed())
    await asyncio.sleep(0)

    assert await ring.reason() == "COHERE_KEY_REJECTED"
    assert not healing.done()
    await healing


async def test_who_was_refused_a_version_that_others_may_use_waits_for_another() -> None:
    ring = found_good_after_all(Ring(V1))
    ring.renew = lambda: checked_for_long(ring)

    assert await ring.attempt(401, 200) == [1, 3]


async def test_a_cohere_of_two_minds_fails_the_call_that_it_refuses_and_no_other() -> None:
    ring = found_good_after_all(Ring(V1))
    await ring.renewal_over()
    slot = await ring.begun()
    told = [*ring.told]
    ring.answered(slot, "chat", 401)

    assert not await ring.another(slot.key, "chat")
    assert ring.renewals == 2
    assert await ring.attempt(200) == [1]
    assert ring.told == told


async def test_the_source_is_read_once_for_all_whom_a_cohere_of_two_minds_refuses() -> None:
    ring = found_good_after_all(Ring(V1))
    await ring.renewal_over()
    slots = [await ring.begun() for _ in range(50)]
    ring.time_s += 1.0
    for slot in slots:
        ring.answered(slot, "chat", 401)
        await asyncio.sleep(0)
    await ring.renewal_over()

    assert ring.renewals == 2


async def test_a_cohere_of_two_minds_is_believed_again_after_a_while() -> None:
    ring = found_good_after_all(Ring(V1))
    ring.time_s += DOUBTED_S

    assert await ring.attempt(401) == [1]
    assert await ring.reason() == "COHERE_KEY_REJECTED"


async def test_a_cohere_of_two_minds_is_believed_where_another_version_is_left() -> None:
    ring = found_good_after_all(Ring(V2, V1))

    assert await ring.attempt(401, 200) == [2, 1]
    assert ring.told[-1] == ("survived", 2, 1)


async def test_a_check_that_refuses_is_believed_at_once() -> None:
    ring = found_good_after_all(Ring(V1))
    ring.checked(V1, Refusal.REJECTED, ring.time_s)

    assert await ring.reason() == "COHERE_KEY_REJECTED"


async def test_a_version_to_fall_back_on_is_tried_again_after_a_cohere_of_two_minds_refused_both() -> None:
    ring = Ring(V2, V1)
    assert await ring.attempt(401, 401) == [2, 1]
    ring.checked(V2, None, ring.time_s)

    assert await ring.attempt(401, 200) == [2, 1]
    assert ring.told[-1] == ("survived", 2, 1)
