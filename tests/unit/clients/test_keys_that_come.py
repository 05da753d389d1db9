"""How long calls of a key ring wait for a version that its source was found to hold, and that is being checked."""

import asyncio

from clients.key_ring import RENEWAL_WAIT_S
from tests.unit.clients.test_key_ring import V1, V2, V3, Ring


async def checked_for_long(ring: Ring) -> None:
    """A renewal that finds another version; its check is slow."""
    ring.another_is_coming()
    await asyncio.sleep(RENEWAL_WAIT_S + 0.2)
    ring.use(V3, ring.in_use)


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
