"""The one statement that usage is reported by. It sums in the database and gives no more rows than a page has.

Each row of the rollups is read once: those of a day wholly inside the window from `usage_day`, all others, quarter by
quarter, from `usage_quarter`. Which of the two it is each row says itself, by the bounds of its day. Days that the
window cuts, or all of them where hours are asked for, are found in `budget_period`: at most two a budget, so that of
the quarters, by far the most rows, only those are touched that count.
"""

BY_NO_TIME, BY_DAY, BY_HOUR = range(3)
"""The first value of `USAGE`."""
ROW = -1
"""The first column of a row of the page. Of the total it tells how many rows there are on all pages."""

# Values: $1 one of BY_…; $2 1 for all teams; $3 and $4 the window's bounds; $5 the team, if not all; $6 to $9 1 for
# what has rows of its own: credential, model, endpoint, team; $10 and $11 how many rows, after how many.
# Columns: ROW, or how many rows all pages have; the keys; the figures; failures as "REASON CALLS,REASON CALLS".
#
# CROSS JOIN keeps SQLite from choosing another order. Bounds that say twice how few days are cut keep PostgreSQL from
# reading every quarter hour. No local day is as long as three days (259200000000 µs). An attempt may be dated beside
# its day by what clocks differ, far less than a day (86400000000); it counts inside, as in the rollups. While rows are
# sorted, what they are not grouped by is NULL, which compares fastest, and times stand first, which differ most.
USAGE = """
WITH part AS (
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.day_start_us AS at_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages,
    0 AS open, 0 AS open_nanos, 0 AS forfeited, 0 AS forfeited_nanos
  FROM usage_day AS u
  WHERE $1 < 2 AND $2 = 1 AND u.day_start_us >= $3 AND u.day_start_us < $4 AND u.day_end_us <= $4
  UNION ALL
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.day_start_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages, 0, 0, 0, 0
  FROM usage_day AS u
  WHERE $1 < 2 AND $2 = 0 AND u.team = $5 AND u.day_start_us >= $3 AND u.day_start_us < $4 AND u.day_end_us <= $4
  UNION ALL
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.quarter_start_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages, 0, 0, 0, 0
  FROM budget AS b CROSS JOIN budget_period AS d CROSS JOIN usage_quarter AS u
  WHERE ($2 = 1 OR b.budget_id = $5) AND d.budget_id = b.budget_id
    AND d.period_start_us > $3 - 259200000000 AND d.period_start_us < $4 AND d.period_end_us > $3
    AND ($1 = 2 OR (d.period_start_us > $3 - 259200000000 AND d.period_start_us < $3)
         OR (d.period_start_us > $4 - 259200000000 AND d.period_end_us > $4))
    AND u.team = d.budget_id AND u.day_start_us = d.period_start_us
    AND u.quarter_start_us >= CASE WHEN d.period_start_us < $3 THEN $3 ELSE d.period_start_us END
    AND u.quarter_start_us < CASE WHEN d.period_end_us < $4 THEN d.period_end_us ELSE $4 END
  UNION ALL
  SELECT h.budget_id, h.endpoint, h.model, h.credential_id, d.period_start_us, d.period_end_us,
    CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
         WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END, '',
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, h.hold_nanos, 0, 0
  FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
  WHERE ($2 = 1 OR b.budget_id = $5) AND h.budget_id = b.budget_id AND h.state = 'open'
    AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
    AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
    AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
    AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
  UNION ALL
  SELECT h.budget_id, h.endpoint, h.model, h.credential_id, d.period_start_us, d.period_end_us,
    CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
         WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END, '',
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, h.hold_nanos
  FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
  WHERE ($2 = 1 OR b.budget_id = $5) AND h.budget_id = b.budget_id AND h.state = 'forfeited'
    AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
    AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
    AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
    AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
), keyed AS (
  SELECT
    CASE WHEN $1 = 1 THEN day_start_us WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 END AS by_start,
    CASE WHEN $6 = 1 THEN credential_id END AS by_credential, CASE WHEN $7 = 1 THEN model END AS by_model,
    CASE WHEN $8 = 1 THEN endpoint END AS by_endpoint, CASE WHEN $9 = 1 THEN team END AS by_team,
    CASE WHEN $1 = 1 THEN day_end_us
         WHEN $1 = 2 AND at_us - (at_us - day_start_us) % 3600000000 + 3600000000 > day_end_us THEN day_end_us
         WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 + 3600000000 END AS by_end,
    reason, calls, attempts, cost_nanos, input_tokens, output_tokens, search_units, images, image_tokens, text_tokens,
    classifications, pages, open, open_nanos, forfeited, forfeited_nanos
  FROM part
), figures AS MATERIALIZED (
  SELECT COALESCE(by_start, 0) AS start_us, COALESCE(by_credential, '') AS credential_id,
    COALESCE(by_model, '') AS model, COALESCE(by_endpoint, '') AS endpoint, COALESCE(by_team, '') AS team,
    COALESCE(by_end, 0) AS end_us,
    CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(attempts) AS BIGINT) AS attempts,
    CAST(SUM(cost_nanos) AS BIGINT) AS cost_nanos, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens,
    CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(search_units) AS BIGINT) AS search_units,
    CAST(SUM(images) AS BIGINT) AS images, CAST(SUM(image_tokens) AS BIGINT) AS image_tokens,
    CAST(SUM(text_tokens) AS BIGINT) AS text_tokens, CAST(SUM(classifications) AS BIGINT) AS classifications,
    CAST(SUM(pages) AS BIGINT) AS pages, CAST(SUM(open) AS BIGINT) AS open,
    CAST(SUM(open_nanos) AS BIGINT) AS open_nanos, CAST(SUM(forfeited) AS BIGINT) AS forfeited,
    CAST(SUM(forfeited_nanos) AS BIGINT) AS forfeited_nanos
  FROM keyed GROUP BY by_start, by_credential, by_model, by_endpoint, by_team, by_end
), failures AS MATERIALIZED (
  SELECT COALESCE(by_start, 0) AS start_us, COALESCE(by_credential, '') AS credential_id,
    COALESCE(by_model, '') AS model, COALESCE(by_endpoint, '') AS endpoint, COALESCE(by_team, '') AS team,
    COALESCE(by_end, 0) AS end_us, reason, CAST(SUM(calls) AS BIGINT) AS calls
  FROM keyed WHERE reason <> '' GROUP BY by_start, by_credential, by_model, by_endpoint, by_team, by_end, reason
), page AS (
  SELECT * FROM figures
  ORDER BY cost_nanos DESC, start_us, end_us, team, endpoint, model, credential_id LIMIT $10 OFFSET $11
), reasons AS MATERIALIZED (
  SELECT f.start_us, f.end_us, f.team, f.endpoint, f.model, f.credential_id,
    string_agg(f.reason || ' ' || CAST(f.calls AS TEXT), ',') AS calls_by_reason
  FROM page AS p CROSS JOIN failures AS f
  WHERE f.start_us = p.start_us AND f.end_us = p.end_us AND f.team = p.team AND f.endpoint = p.endpoint
    AND f.model = p.model AND f.credential_id = p.credential_id
  GROUP BY f.start_us, f.end_us, f.team, f.endpoint, f.model, f.credential_id
)
SELECT COUNT(*), '', '', '', '', 0, 0, CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT),
  CAST(SUM(cost_nanos) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
  CAST(SUM(search_units) AS BIGINT), CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT),
  CAST(SUM(text_tokens) AS BIGINT), CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT),
  CAST(SUM(open) AS BIGINT), CAST(SUM(open_nanos) AS BIGINT), CAST(SUM(forfeited) AS BIGINT),
  CAST(SUM(forfeited_nanos) AS BIGINT),
  (SELECT string_agg(s.reason || ' ' || CAST(s.calls AS TEXT), ',')
   FROM (SELECT reason, SUM(calls) AS calls FROM failures GROUP BY reason) AS s)
FROM figures
UNION ALL
SELECT -1, p.team, p.endpoint, p.model, p.credential_id, p.start_us, p.end_us, p.calls, p.attempts, p.cost_nanos,
  p.input_tokens, p.output_tokens, p.search_units, p.images, p.image_tokens, p.text_tokens, p.classifications, p.pages,
  p.open, p.open_nanos, p.forfeited, p.forfeited_nanos, r.calls_by_reason
FROM page AS p LEFT JOIN reasons AS r
  ON r.start_us = p.start_us AND r.end_us = p.end_us AND r.team = p.team AND r.endpoint = p.endpoint
    AND r.model = p.model AND r.credential_id = p.credential_id"""
