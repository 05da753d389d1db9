"""What may have been done to money: holds, periods, adjustments, freezes, prices and rollups. See `tamperings`."""

from tests.audit.made import HOLD_NANOS, PRICE_VERSION
from tests.audit.scene import Scene
from tests.audit.tamperings import FIRST, LAST, SECOND, Trace, tampering


async def _hold(scene: Scene, state: str, team: str = "search") -> tuple[str, int]:
    """Call id and period of the first hold in a state."""
    sql = "SELECT call_id, period_start_us FROM call_hold WHERE state = $1 AND budget_id = $2 ORDER BY call_id"
    rows = await scene.sql(sql, state, team)
    return rows[0][0], rows[0][1]


async def _release(scene: Scene, start_us: int, nanos: int) -> None:
    """Makes a period fit what was taken from one of its rows."""
    where = "WHERE budget_id = 'search' AND period_start_us = $2"
    await scene.sql(f"UPDATE budget_period SET committed_nanos = committed_nanos - $1 {where}", nanos, start_us)


@tampering
async def a_charge_edited(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql("UPDATE call_hold SET charge_nanos = charge_nanos - 1 WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def a_charge_edited_with_its_period(scene: Scene) -> Trace:
    call_id, start_us = await _hold(scene, "settled")
    await scene.sql("UPDATE call_hold SET charge_nanos = charge_nanos - 1 WHERE call_id = $1", call_id)
    await _release(scene, start_us, 1)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def a_charge_edited_with_its_outcome(scene: Scene) -> Trace:
    """In what no checkpoint knows yet, with the chain rewritten."""
    row = scene.record(LAST, "outcome")
    body = row.body.replace('"charge_nanos":1200345', '"charge_nanos":200345')
    await scene.edit(row, body=body)
    await scene.rewrite(row.writer_id)
    rows = await scene.sql(
        "UPDATE call_hold SET charge_nanos = 200345 WHERE call_id = $1 RETURNING period_start_us", row.call_id
    )
    return Trace("period_changed", f"period search/{rows[0][0]}")


@tampering
async def a_hold_edited(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "forfeited")
    await scene.sql("UPDATE call_hold SET hold_nanos = 1 WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def a_hold_moved_to_another_model(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql("UPDATE call_hold SET model = 'command-r7b-12-2024' WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def a_hold_moved_in_time(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql("UPDATE call_hold SET at_us = at_us - 1 WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def a_hold_removed(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql("DELETE FROM call_hold WHERE call_id = $1", call_id)
    return Trace("hold_missing", f"hold {call_id}/1")


@tampering
async def a_hold_invented(scene: Scene) -> Trace:
    _, start_us = await _hold(scene, "settled")
    await scene.sql(
        "INSERT INTO call_hold (call_id, attempt, budget_id, period_start_us, hold_nanos, charge_nanos, has_outcome,"
        " state, price_version, at_us, endpoint, model, credential_id)"
        " VALUES ('invented', 1, 'search', $1, 5, 5, 1, 'settled', $2, $1, 'chat', 'm', 'key_1')",
        start_us, PRICE_VERSION,
    )  # fmt: skip
    return Trace("intent_missing", "hold invented/1")


@tampering
async def a_forfeited_hold_voided(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "forfeited", "support")
    await scene.sql("UPDATE call_hold SET state = 'void', charge_nanos = 0 WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def an_open_hold_voided(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "open", "support")
    await scene.sql("UPDATE call_hold SET state = 'void', charge_nanos = 0 WHERE call_id = $1", call_id)
    return Trace("outcome_missing", f"hold {call_id}/1")


@tampering
async def a_settled_hold_opened_again(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql(
        "UPDATE call_hold SET state = 'open', charge_nanos = NULL, has_outcome = 0 WHERE call_id = $1", call_id
    )
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def an_outcome_forgotten_so_that_it_can_settle_again(scene: Scene) -> Trace:
    call_id, _ = await _hold(scene, "settled")
    await scene.sql("UPDATE call_hold SET has_outcome = 0 WHERE call_id = $1", call_id)
    return Trace("hold_changed", f"hold {call_id}/1")


@tampering
async def an_outcome_removed_that_no_checkpoint_knows(scene: Scene) -> Trace:
    row = scene.record(LAST, "outcome")
    await scene.close_gap(row)
    return Trace("outcome_missing", f"hold {row.call_id}/1")


@tampering
async def an_intent_removed_that_no_checkpoint_knows(scene: Scene) -> Trace:
    row = scene.record(LAST, "intent")
    await scene.close_gap(row)
    outcome = next(each for each in scene.writers[LAST] if each.kind == "outcome" and each.call_id == row.call_id)
    return Trace("intent_missing", f"writer {row.writer_id}/{outcome.seq - 1}")


@tampering
async def an_outcome_that_tells_another_hold(scene: Scene) -> Trace:
    row = scene.record(LAST, "outcome")
    body = row.body.replace(f'"hold_nanos":{HOLD_NANOS}', f'"hold_nanos":{HOLD_NANOS + 1}')
    await scene.edit(row, body=body)
    await scene.rewrite(row.writer_id)
    return Trace("outcome_differs", row.where)


@tampering
async def an_attempt_that_nobody_ended(scene: Scene) -> Trace:
    """Opened long ago, by its hold and its intent, in a chain that was rewritten."""
    row = scene.record(LAST, "intent", -1)
    await scene.sql("UPDATE call_hold SET at_us = at_us - 100000000000 WHERE call_id = $1", row.call_id)
    await scene.sql("UPDATE audit SET at_us = at_us - 100000000000 WHERE call_id = $1", row.call_id)
    await scene.rewrite(row.writer_id)
    return Trace("outcome_missing", f"hold {row.call_id}/1")


@tampering
async def what_a_period_committed_edited(scene: Scene) -> Trace:
    _, start_us = await _hold(scene, "settled")
    await scene.sql(
        "UPDATE budget_period SET committed_nanos = 0 WHERE budget_id = 'search' AND period_start_us = $1", start_us
    )
    return Trace("period_changed", f"period search/{start_us}")


@tampering
async def a_period_removed(scene: Scene) -> Trace:
    call_id, start_us = await _hold(scene, "settled")
    await scene.sql("DELETE FROM budget_period WHERE budget_id = 'search' AND period_start_us = $1", start_us)
    return Trace("period_missing", f"hold {call_id}/1")


@tampering
async def a_period_made_longer(scene: Scene) -> Trace:
    _, start_us = await _hold(scene, "settled")
    await scene.sql(
        "UPDATE budget_period SET period_end_us = period_end_us + 3600000000"
        " WHERE budget_id = 'search' AND period_start_us = $1",
        start_us,
    )
    return Trace("usage_changed", "usage_day search/")


@tampering
async def an_adjustment_edited(scene: Scene) -> Trace:
    await scene.sql("UPDATE budget_adjust SET amount_nanos = 4000000 WHERE adjust_id = 'adjust-1'")
    return Trace("adjust_changed", "adjust adjust-1")


@tampering
async def an_adjustment_laid_to_somebody_else(scene: Scene) -> Trace:
    await scene.sql("UPDATE budget_adjust SET principal = 'somebody' WHERE adjust_id = 'adjust-1'")
    return Trace("adjust_changed", "adjust adjust-1")


@tampering
async def an_adjustment_removed(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM budget_adjust WHERE adjust_id = 'adjust-2'")
    return Trace("adjust_missing", "adjust adjust-2")


@tampering
async def an_adjustment_invented_with_its_period(scene: Scene) -> Trace:
    _, start_us = await _hold(scene, "settled")
    await scene.sql(
        "INSERT INTO budget_adjust (adjust_id, budget_id, period_start_us, amount_nanos, at_us, principal, note)"
        " VALUES ('invented', 'search', $1, -7, $1, 'ops', '')",
        start_us,
    )
    await _release(scene, start_us, 7)
    return Trace("adjust_unrecorded", "adjust invented")


@tampering
async def a_team_frozen_behind_the_scenes(scene: Scene) -> Trace:
    await scene.sql("UPDATE budget SET frozen_at_us = 1 WHERE budget_id = 'search'")
    return Trace("freeze_changed", "budget search")


@tampering
async def a_freeze_without_effect(scene: Scene) -> Trace:
    rows = await scene.sql(
        "UPDATE budget_period SET frozen = 1 WHERE budget_id = 'support' AND period_start_us ="
        " (SELECT MAX(period_start_us) FROM budget_period WHERE budget_id = 'support') RETURNING period_start_us"
    )
    return Trace("freeze_changed", f"period support/{rows[0][0]}")


@tampering
async def a_budget_removed(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM budget WHERE budget_id = 'support'")
    return Trace("freeze_changed", "budget support")


@tampering
async def a_price_edited(scene: Scene) -> Trace:
    await scene.sql("UPDATE price_book SET body = 'cheaper'")
    return Trace("prices_changed", f"price book {PRICE_VERSION}")


@tampering
async def a_price_book_removed(scene: Scene) -> Trace:
    await scene.sql("DELETE FROM price_book")
    return Trace("prices_missing", f"price book {PRICE_VERSION}")


@tampering
async def a_quarter_hour_edited(scene: Scene) -> Trace:
    rows = await scene.sql(
        "UPDATE usage_quarter SET cost_nanos = cost_nanos - 1"
        " WHERE team = 'search' AND endpoint = 'embed' AND calls = 1 RETURNING quarter_start_us"
    )
    return Trace("usage_changed", f"usage_quarter search/{rows[0][0]}")


@tampering
async def a_quarter_hour_and_its_day_edited(scene: Scene) -> Trace:
    rows = await scene.sql(
        "UPDATE usage_quarter SET input_tokens = 1 WHERE team = 'search' AND endpoint = 'embed' AND calls = 1"
        " RETURNING quarter_start_us"
    )
    await scene.sql("UPDATE usage_day SET input_tokens = 1 WHERE team = 'search' AND endpoint = 'embed' AND calls = 1")
    return Trace("usage_changed", f"usage_quarter search/{rows[0][0]}")


@tampering
async def a_quarter_hour_moved(scene: Scene) -> Trace:
    rows = await scene.sql(
        "UPDATE usage_quarter SET quarter_start_us = quarter_start_us + 900000000 WHERE team = ''"
        " RETURNING quarter_start_us"
    )
    return Trace("usage_changed", f"usage_quarter /{rows[0][0]}")


@tampering
async def a_quarter_hour_removed(scene: Scene) -> Trace:
    row = scene.record(FIRST, "answer")
    await scene.sql("DELETE FROM usage_quarter WHERE team = 'support' AND reason = 'TEAM_FROZEN'")
    return Trace("usage_changed", f"usage_quarter support/{row.at_us - row.at_us % 900_000_000}")


@tampering
async def a_day_edited(scene: Scene) -> Trace:
    rows = await scene.sql(
        "UPDATE usage_day SET calls = calls + 1 WHERE team = 'search' AND reason = '' AND endpoint = 'chat'"
        " RETURNING day_start_us"
    )
    return Trace("usage_changed", f"usage_day search/{rows[0][0]}")


@tampering
async def a_day_invented(scene: Scene) -> Trace:
    row = scene.writers[SECOND][0]
    await scene.sql(
        "INSERT INTO usage_day (team, day_start_us, day_end_us, endpoint, model, credential_id, reason, calls)"
        " VALUES ('search', $1, $2, 'chat', '', '', '', 1)",
        row.at_us, row.at_us + 1,
    )  # fmt: skip
    return Trace("usage_changed", f"usage_day search/{row.at_us}")
