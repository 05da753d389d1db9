"""What may have been done to the ends of chains and to whole writers. See `tamperings`."""

import dataclasses
import uuid

import orjson

from tests.audit.scene import Row, Scene
from tests.audit.tamperings import CHECKPOINTS, FIRST, LAST, SECOND, THIRD, Trace, tampering


@tampering
async def a_tail_cut_off(scene: Scene) -> Trace:
    row = scene.writers[LAST][-2]
    await scene.sql("DELETE FROM audit WHERE writer_id = $1 AND seq >= $2", row.writer_id, row.seq)
    return Trace("tail_missing", row.where)


@tampering
async def a_tail_cut_off_with_the_row_of_its_writer(scene: Scene) -> Trace:
    row = scene.writers[THIRD][-2]
    await scene.cut(row)
    return Trace("tail_missing", row.where)


@tampering
async def a_tail_cut_off_with_the_checkpoints_that_name_it(scene: Scene) -> Trace:
    row = scene.writers[THIRD][-2]
    await scene.cut(row)
    await scene.sql("DELETE FROM checkpoint WHERE number = $1", CHECKPOINTS)
    return Trace("tail_missing", row.where)


@tampering
async def a_writer_removed(scene: Scene) -> Trace:
    writer_id = scene.writers[SECOND][0].writer_id
    await scene.sql("DELETE FROM audit WHERE writer_id = $1", writer_id)
    return Trace("writer_missing", f"writer {writer_id}")


@tampering
async def a_writer_removed_that_no_checkpoint_knows(scene: Scene) -> Trace:
    writer_id = scene.writers[LAST][0].writer_id
    await scene.sql("DELETE FROM audit WHERE writer_id = $1", writer_id)
    return Trace("writer_missing", f"writer {writer_id}")


@tampering
async def a_writer_removed_with_its_row(scene: Scene) -> Trace:
    return Trace("writer_missing", f"writer {await scene.remove_writer(SECOND)}")


@tampering
async def a_writer_removed_with_all_checkpoints(scene: Scene) -> Trace:
    writer_id = await scene.remove_writer(SECOND)
    await scene.sql("DELETE FROM checkpoint")
    return Trace("writer_missing", f"writer {writer_id}")


@tampering
async def a_writer_replayed_under_another_name(scene: Scene) -> Trace:
    writer_id = await _copy_writer(scene, SECOND)
    intent = next(row for row in scene.writers[SECOND] if row.kind == "intent")
    return Trace("record_repeated", f"writer {max(writer_id, intent.writer_id)}/{intent.seq}")


@tampering
async def an_old_writer_invented(scene: Scene) -> Trace:
    writer_id = await _copy_writer(scene, SECOND)
    return Trace("record_unsealed", f"writer {writer_id}/0")


@tampering
async def a_record_added_to_an_old_chain(scene: Scene) -> Trace:
    last = scene.writers[FIRST][-1]
    body = orjson.dumps({"event": "unfrozen", "principal": "ops", "note": ""}).decode()
    added = Row(last.writer_id, last.seq + 1, "notice", "", "support", last.at_us, body, b"")
    await scene.insert(added)
    await scene.rewrite(added.writer_id)
    return Trace("record_unsealed", added.where)


@tampering
async def a_time_moved_back_in_what_no_checkpoint_knows(scene: Scene) -> Trace:
    row = scene.writers[LAST][-1]
    await scene.edit(row, at_us=row.at_us - 60_000_000)
    await scene.rewrite(row.writer_id)
    return Trace("time_reversed", row.where)


@tampering
async def a_writer_that_does_not_begin_as_writers_do(scene: Scene) -> Trace:
    row = scene.writers[LAST][0]
    await scene.close_gap(row)
    return Trace("writer_unopened", row.where)


@tampering
async def the_counters_of_a_writer_changed(scene: Scene) -> Trace:
    writer_id = scene.writers[FIRST][0].writer_id
    await scene.sql("UPDATE audit_writer SET intents = intents - 1 WHERE writer_id = $1", writer_id)
    return Trace("writer_differs", f"writer {writer_id}")


@tampering
async def the_row_of_a_writer_removed(scene: Scene) -> Trace:
    writer_id = scene.writers[FIRST][0].writer_id
    await scene.sql("DELETE FROM audit_writer WHERE writer_id = $1", writer_id)
    return Trace("writer_differs", f"writer {writer_id}")


async def _copy_writer(scene: Scene, writer: int) -> str:
    """All records of a writer once more, under another name, with right hashes and a row."""
    writer_id = str(uuid.uuid4())
    for row in scene.writers[writer]:
        await scene.insert(dataclasses.replace(row, writer_id=writer_id))
    await scene.sql(
        "INSERT INTO audit_writer (writer_id, started_at_us, head_seq, head_hash) VALUES ($1, $2, 0, $3)",
        writer_id, scene.writers[writer][0].at_us, b"",
    )  # fmt: skip
    await scene.rewrite(writer_id)
    return writer_id
