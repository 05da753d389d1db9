"""What may have been done to checkpoints, in the table and in the outside file. See `tamperings`."""

import dataclasses

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.books.checkpoint import Head
from service.books.signing import SigningKey
from tests.audit.scene import Scene
from tests.audit.tamperings import CHECKPOINTS, Trace, flipped, tampering


@tampering
async def a_checkpoint_edited(scene: Scene) -> Trace:
    await scene.sql("UPDATE checkpoint SET body = REPLACE(body, 'notice', 'notify') WHERE number = 2")
    return Trace("checkpoint_changed", "checkpoint 2")


@tampering
async def the_time_of_a_checkpoint_edited(scene: Scene) -> Trace:
    await scene.sql("UPDATE checkpoint SET at_us = at_us + 1 WHERE number = 2")
    return Trace("checkpoint_changed", "checkpoint 2")


@tampering
async def a_checkpoint_forged_with_its_old_signature(scene: Scene) -> Trace:
    checkpoint = await scene.checkpoint(2)
    ((signature,),) = await scene.sql("SELECT signature FROM checkpoint WHERE number = 2")
    await scene.put(dataclasses.replace(checkpoint, heads=checkpoint.heads[:-1]), _stranger())
    await scene.sql("UPDATE checkpoint SET signature = $1 WHERE number = 2", signature)
    return Trace("checkpoint_forged", "checkpoint 2")


@tampering
async def a_checkpoint_signed_by_a_stranger(scene: Scene) -> Trace:
    stranger = _stranger()
    await scene.put(dataclasses.replace(await scene.checkpoint(3), key_id=stranger.public.key_id), stranger)
    return Trace("checkpoint_forged", "checkpoint 3")


@tampering
async def a_signatureflipped(scene: Scene) -> Trace:
    ((signature,),) = await scene.sql("SELECT signature FROM checkpoint WHERE number = 3")
    await scene.sql("UPDATE checkpoint SET signature = $1 WHERE number = 3", flipped(signature))
    return Trace("checkpoint_forged", "checkpoint 3")


@tampering
async def a_checkpoint_removed(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM checkpoint WHERE number = 2")
    return Trace("checkpoint_missing", "checkpoint 2")


@tampering
async def the_last_checkpoint_removed(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM checkpoint WHERE number = $1", CHECKPOINTS)
    return Trace("checkpoint_missing", f"checkpoint {CHECKPOINTS}")


@tampering
async def the_last_checkpoint_removed_in_the_outside_file_too(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM checkpoint WHERE number = $1", CHECKPOINTS)
    scene.lines.pop()
    # What was written after it names it.
    return Trace("checkpoint_missing", f"checkpoint {CHECKPOINTS}")


@tampering
async def a_chain_of_checkpoints_broken_by_who_has_the_key(scene: Scene) -> Trace:
    await scene.put(dataclasses.replace(await scene.checkpoint(3), previous=bytes(32)), scene.key)
    return Trace("checkpoint_chain", "checkpoint 3")


@tampering
async def a_checkpoint_replaced_by_who_has_the_key(scene: Scene) -> Trace:
    await scene.put(dataclasses.replace(await scene.checkpoint(CHECKPOINTS), committed=()), scene.key)
    return Trace("checkpoint_differs", "outside:4")


@tampering
async def a_checkpoint_that_counts_what_is_not_there(scene: Scene) -> Trace:
    checkpoint = await scene.checkpoint(CHECKPOINTS)
    more = [count + 1 for count in checkpoint.records]
    await scene.put(dataclasses.replace(checkpoint, records=more), scene.key)
    return Trace("checkpoint_counts", f"checkpoint {CHECKPOINTS}")


@tampering
async def a_checkpoint_that_names_another_head(scene: Scene) -> Trace:
    checkpoint = await scene.checkpoint(CHECKPOINTS)
    head = checkpoint.heads[-1]
    heads = [*checkpoint.heads[:-1], Head(head.writer_id, head.seq, flipped(head.hash))]
    await scene.put(dataclasses.replace(checkpoint, heads=heads), scene.key)
    return Trace("head_differs", f"writer {head.writer_id}/{head.seq}")


@tampering
async def a_line_of_the_outside_file_changed(scene: Scene) -> Trace:
    scene.lines[1] = scene.lines[1].replace(b"notice", b"notify", 1)
    return Trace("checkpoint_changed", "outside:2")


@tampering
async def a_line_of_the_outside_file_made_unreadable(scene: Scene) -> Trace:
    scene.lines[1] = b"#" + scene.lines[1]
    return Trace("checkpoint_changed", "outside:2")


@tampering
async def two_lines_of_the_outside_file_swapped(scene: Scene) -> Trace:
    scene.lines[1], scene.lines[2] = scene.lines[2], scene.lines[1]
    return Trace("checkpoint_chain", "outside:3")


def _stranger() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())
