"""What may have been done to single records. See `tamperings`."""

import dataclasses

from tests.audit.scene import Scene
from tests.audit.tamperings import FIRST, LAST, SECOND, Trace, flipped, tampering

_ASIDE = 10**6


@tampering
async def a_bit_of_a_bodyflipped(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 2)
    await scene.edit(row, body=row.body.replace('"bytes":99', '"bytes":98'))
    return Trace("record_changed", row.where)


@tampering
async def a_bit_of_a_hashflipped(scene: Scene) -> Trace:
    row = scene.record(FIRST, "intent", 2)
    await scene.edit(row, hash=flipped(row.hash))
    return Trace("record_changed", row.where)


@tampering
async def the_hash_of_the_last_recordflipped(scene: Scene) -> Trace:
    row = scene.writers[LAST][-1]
    await scene.edit(row, hash=flipped(row.hash))
    return Trace("record_changed", row.where)


@tampering
async def a_team_changed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 1)
    await scene.edit(row, team="support")
    return Trace("record_changed", row.where)


@tampering
async def a_call_id_changed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "answer")
    await scene.edit(row, call_id="z" * 26)
    return Trace("record_changed", row.where)


@tampering
async def a_kind_changed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "notice", 2)
    await scene.edit(row, kind="answer")
    return Trace("record_changed", row.where)


@tampering
async def a_time_changed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "intent", 3)
    await scene.edit(row, at_us=row.at_us + 1)
    return Trace("record_changed", row.where)


@tampering
async def a_body_that_is_no_json(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 3)
    await scene.edit(row, body="{")
    return Trace("record_unreadable", row.where)


@tampering
async def a_body_and_its_hash_changed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 2)
    body = row.body.replace('"bytes":99', '"bytes":98')
    digest = dataclasses.replace(row, body=body).hash_after(scene.hash_before(row))
    await scene.edit(row, body=body, hash=digest)
    return Trace("record_changed", f"writer {row.writer_id}/{row.seq + 1}")


@tampering
async def a_chain_rewritten_to_its_end(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 2)
    await scene.edit(row, body=row.body.replace('"bytes":99', '"bytes":98'))
    await scene.rewrite(row.writer_id)
    return Trace("head_differs", f"writer {row.writer_id}/")


@tampering
async def a_record_deleted(scene: Scene) -> Trace:
    row = scene.record(FIRST, "answer", 1)
    await scene.sql("DELETE FROM audit WHERE writer_id = $1 AND seq = $2", row.writer_id, row.seq)
    return Trace("record_missing", row.where)


@tampering
async def a_record_deleted_that_a_checkpoint_names(scene: Scene) -> Trace:
    head = (await scene.checkpoint(1)).heads[0]
    await scene.sql("DELETE FROM audit WHERE writer_id = $1 AND seq = $2", head.writer_id, head.seq)
    return Trace("record_missing", f"writer {head.writer_id}/{head.seq}")


@tampering
async def the_first_record_of_a_writer_deleted(scene: Scene) -> Trace:
    row = scene.writers[SECOND][0]
    await scene.sql("DELETE FROM audit WHERE writer_id = $1 AND seq = 0", row.writer_id)
    return Trace("record_missing", row.where)


@tampering
async def a_record_deleted_and_the_others_moved_up(scene: Scene) -> Trace:
    row = scene.record(FIRST, "answer", 1)
    await scene.close_gap(row)
    return Trace("head_differs", f"writer {row.writer_id}/")


@tampering
async def two_records_swapped(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 1)
    other = scene.record(FIRST, "outcome", 2)
    await scene.edit(row, seq=_ASIDE)
    await scene.edit(other, seq=row.seq)
    await scene.edit(dataclasses.replace(row, seq=_ASIDE), seq=other.seq)
    return Trace("record_changed", row.where)


@tampering
async def a_record_replayed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "outcome", 1)
    await scene.insert(dataclasses.replace(row, at_us=row.at_us + 1))
    return Trace("record_repeated", row.where)


@tampering
async def a_record_replayed_at_the_end_of_its_chain(scene: Scene) -> Trace:
    rows = scene.writers[LAST]
    again = dataclasses.replace(scene.record(LAST, "outcome"), seq=rows[-1].seq + 1, at_us=rows[-1].at_us)
    await scene.insert(again)
    await scene.rewrite(again.writer_id)
    return Trace("record_repeated", again.where)
