"""What the oracles ask the database, and the triggers by which they see each change of a hold."""

# The triggers keep a sum of their own of what the holds, charges and adjustments of each day come to.
WATCH = """
CREATE INDEX audit_call ON audit (call_id);
CREATE TEMP TABLE expected (budget_id, period_start_us, nanos, adjusted, PRIMARY KEY (budget_id, period_start_us));
CREATE TEMP TRIGGER opened AFTER INSERT ON main.budget_period BEGIN
  INSERT INTO expected VALUES (NEW.budget_id, NEW.period_start_us, 0, 0);
END;
CREATE TEMP TRIGGER adjusted AFTER INSERT ON main.budget_adjust BEGIN
  UPDATE expected SET nanos = nanos + NEW.amount_nanos, adjusted = adjusted + NEW.amount_nanos
    WHERE budget_id = NEW.budget_id AND period_start_us = NEW.period_start_us;
END;
CREATE TEMP TRIGGER held AFTER INSERT ON main.call_hold WHEN NEW.state = 'open' BEGIN
  UPDATE expected SET nanos = nanos + NEW.hold_nanos
    WHERE budget_id = NEW.budget_id AND period_start_us = NEW.period_start_us;
  SELECT violated('I9', 'held on another day: ' || NEW.call_id) WHERE NOT EXISTS (
    SELECT 1 FROM budget_period AS p WHERE p.budget_id = NEW.budget_id AND p.period_start_us = NEW.period_start_us
      AND p.period_start_us <= clock_us() AND clock_us() < p.period_end_us);
  SELECT violated('frozen', NEW.call_id) FROM budget AS b WHERE b.budget_id = NEW.budget_id AND b.frozen_at_us > 0;
END;
CREATE TEMP TRIGGER changed AFTER UPDATE ON main.call_hold BEGIN
  UPDATE expected SET
    nanos = nanos + COALESCE(NEW.charge_nanos, NEW.hold_nanos) - COALESCE(OLD.charge_nanos, OLD.hold_nanos)
    WHERE budget_id = NEW.budget_id AND period_start_us = NEW.period_start_us;
  SELECT violated('I5', 'ended twice: ' || NEW.call_id) WHERE OLD.state NOT IN ('open', 'forfeited') OR OLD.has_outcome;
  SELECT violated('I8', 'given back without an end: ' || NEW.call_id)
    WHERE NEW.charge_nanos IS NOT NULL AND (NEW.state NOT IN ('settled', 'void') OR NOT NEW.has_outcome);
  SELECT violated('I9', 'moved: ' || NEW.call_id) WHERE NEW.period_start_us <> OLD.period_start_us
    OR NEW.budget_id <> OLD.budget_id OR NEW.hold_nanos <> OLD.hold_nanos;
END;
CREATE TEMP TRIGGER dropped AFTER DELETE ON main.call_hold BEGIN SELECT violated('I8', 'deleted: ' || OLD.call_id); END;
"""

DAYS = """
SELECT p.budget_id, p.period_start_us, p.committed_nanos, e.nanos, e.adjusted
FROM budget_period AS p JOIN expected AS e USING (budget_id, period_start_us)"""
STANDING = """
SELECT p.period_start_us, p.committed_nanos, COALESCE((SELECT SUM(hold_nanos) FROM call_hold AS h
  WHERE h.budget_id = p.budget_id AND h.period_start_us = p.period_start_us AND h.state = 'open'), 0)
FROM budget_period AS p WHERE p.budget_id = ? AND p.period_end_us = ?"""
HOLD = """
SELECT budget_id, period_start_us, hold_nanos, state, has_outcome FROM call_hold WHERE call_id = ? AND attempt = ?"""
INTENT = "SELECT seq FROM audit WHERE call_id = ? AND kind = 'intent' AND json_extract(body, '$.attempt') = ?"
END = "SELECT state, charge_nanos, has_outcome FROM call_hold WHERE call_id = ? AND attempt = ?"
HOLDS = "SELECT call_id, attempt, hold_nanos, charge_nanos, has_outcome, state FROM call_hold"
PERIODS = "SELECT budget_id, period_start_us, period_end_us FROM budget_period"
TRAIL = "SELECT writer_id, seq, kind, call_id, team, at_us, body, hash FROM audit ORDER BY writer_id, seq"
HEADS = "SELECT head_hash FROM audit_writer ORDER BY writer_id"
CALLS = "SELECT COALESCE(SUM(calls), 0) FROM usage_day"

_BY_DAY = "SUM(attempts), SUM(cost_nanos), SUM(input_tokens) FROM {} WHERE attempts > 0 GROUP BY 1, 2"
SUMS = {
    "attempts, costs and tokens of each day": {
        "records": """
          SELECT h.budget_id, h.period_start_us, COUNT(*), SUM(COALESCE(h.charge_nanos, 0)),
            SUM(json_extract(a.body, '$.billed_units.input_tokens'))
          FROM call_hold AS h JOIN audit AS a
            ON a.call_id = h.call_id AND a.kind = 'outcome' AND json_extract(a.body, '$.attempt') = h.attempt
          GROUP BY 1, 2""",
        "days": f"SELECT team, day_start_us, {_BY_DAY.format('usage_day')}",
        "quarters": f"SELECT team, day_start_us, {_BY_DAY.format('usage_quarter')}",
    },
    "calls of each team": {
        "records": """
          SELECT team, COUNT(*) FROM audit
          WHERE kind = 'answer' OR (kind = 'outcome' AND json_extract(body, '$.last')) GROUP BY 1""",
        "days": "SELECT team, SUM(calls) FROM usage_day GROUP BY 1 HAVING SUM(calls) > 0",
        "quarters": "SELECT team, SUM(calls) FROM usage_quarter GROUP BY 1 HAVING SUM(calls) > 0",
    },
    "records": {
        "holds": "SELECT SUM(price_version <> ''), SUM(has_outcome) FROM call_hold",
        "records": "SELECT SUM(kind = 'intent'), SUM(kind = 'outcome') FROM audit",
        "writers": "SELECT SUM(intents), SUM(outcomes) FROM audit_writer",
    },
}

STATE = """
SELECT (SELECT SUM(committed_nanos) FROM budget_period), (SELECT COUNT(*) FROM call_hold),
  (SELECT SUM(COALESCE(charge_nanos, hold_nanos)) FROM call_hold), (SELECT SUM(has_outcome) FROM call_hold),
  (SELECT COUNT(*) FROM audit WHERE kind IN ('intent', 'outcome')),
  (SELECT SUM(calls) FROM usage_day), (SELECT SUM(attempts) FROM usage_day), (SELECT SUM(cost_nanos) FROM usage_day)"""
