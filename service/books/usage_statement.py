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
# Columns: ROW, or how many rows all pages have; start and end of the hour or day; the names asked for, in the order of
# $6 to $9, on a line each; the figures; and what stands apart from them as text, each failure as "REASON CALLS 0" and
# what is unresolved as "open ATTEMPTS NANOS", with commas between.
#
# CROSS JOIN keeps SQLite from choosing another order. Bounds that say twice how few days are cut keep PostgreSQL from
# reading every quarter hour. No local day is as long as three days (259200000000 µs). An attempt may be dated beside
# its day by what clocks differ, far less than a day (86400000000); it counts inside, as in the rollups. SQLite sorts to
# group, so what is compared is short: times, one text, and NULL where nothing is asked for.
USAGE = """
WITH part AS (
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.day_start_us AS at_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages, 0 AS unresolved, 0 AS hold_nanos
  FROM usage_day AS u
  WHERE $1 < 2 AND $2 = 1 AND u.day_start_us >= $3 AND u.day_start_us < $4 AND u.day_end_us <= $4
  UNION ALL
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.day_start_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages, 0, 0
  FROM usage_day AS u
  WHERE $1 < 2 AND $2 = 0 AND u.team = $5 AND u.day_start_us >= $3 AND u.day_start_us < $4 AND u.day_end_us <= $4
  UNION ALL
  SELECT u.team, u.endpoint, u.model, u.credential_id, u.day_start_us, u.day_end_us, u.quarter_start_us, u.reason,
    u.calls, u.attempts, u.cost_nanos, u.input_tokens, u.output_tokens, u.search_units, u.images, u.image_tokens,
    u.text_tokens, u.classifications, u.pages, 0, 0
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
         WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END, 'open',
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, h.hold_nanos
  FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
  WHERE ($2 = 1 OR b.budget_id = $5) AND h.budget_id = b.budget_id AND h.state = 'open'
    AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
    AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
    AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
    AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
  UNION ALL
  SELECT h.budget_id, h.endpoint, h.model, h.credential_id, d.period_start_us, d.period_end_us,
    CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
         WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END, 'forfeited',
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, h.hold_nanos
  FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
  WHERE ($2 = 1 OR b.budget_id = $5) AND h.budget_id = b.budget_id AND h.state = 'forfeited'
    AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
    AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
    AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
    AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
), keyed AS (
  SELECT
    CASE WHEN $1 = 1 THEN day_start_us WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 END AS by_start,
    concat_ws('\n', CASE WHEN $6 = 1 THEN credential_id END, CASE WHEN $7 = 1 THEN model END,
      CASE WHEN $8 = 1 THEN endpoint END, CASE WHEN $9 = 1 THEN team END) AS names,
    CASE WHEN $1 = 1 THEN day_end_us
         WHEN $1 = 2 AND at_us - (at_us - day_start_us) % 3600000000 + 3600000000 > day_end_us THEN day_end_us
         WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 + 3600000000 END AS by_end,
    reason, calls, attempts, cost_nanos, input_tokens, output_tokens, search_units, images, image_tokens, text_tokens,
    classifications, pages, unresolved, hold_nanos
  FROM part
), figures AS MATERIALIZED (
  SELECT COALESCE(by_start, 0) AS start_us, COALESCE(by_end, 0) AS end_us, names,
    CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(attempts) AS BIGINT) AS attempts,
    CAST(SUM(cost_nanos) AS BIGINT) AS cost_nanos, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens,
    CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(search_units) AS BIGINT) AS search_units,
    CAST(SUM(images) AS BIGINT) AS images, CAST(SUM(image_tokens) AS BIGINT) AS image_tokens,
    CAST(SUM(text_tokens) AS BIGINT) AS text_tokens, CAST(SUM(classifications) AS BIGINT) AS classifications,
    CAST(SUM(pages) AS BIGINT) AS pages
  FROM keyed GROUP BY by_start, names, by_end
), apart AS MATERIALIZED (
  SELECT COALESCE(by_start, 0) AS start_us, COALESCE(by_end, 0) AS end_us, names, reason,
    CAST(SUM(calls + unresolved) AS BIGINT) AS count, CAST(SUM(hold_nanos) AS BIGINT) AS hold_nanos
  FROM keyed WHERE reason <> '' GROUP BY by_start, names, by_end, reason
), page AS (
  SELECT * FROM figures ORDER BY cost_nanos DESC, start_us, end_us, names LIMIT $10 OFFSET $11
), told AS MATERIALIZED (
  SELECT a.start_us, a.end_us, a.names,
    string_agg(a.reason || ' ' || CAST(a.count AS TEXT) || ' ' || CAST(a.hold_nanos AS TEXT), ',') AS apart
  FROM page AS p CROSS JOIN apart AS a
  WHERE a.start_us = p.start_us AND a.end_us = p.end_us AND a.names = p.names
  GROUP BY a.start_us, a.end_us, a.names
)
SELECT COUNT(*), 0, 0, '', CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT),
  CAST(SUM(cost_nanos) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
  CAST(SUM(search_units) AS BIGINT), CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT),
  CAST(SUM(text_tokens) AS BIGINT), CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT),
  (SELECT string_agg(a.reason || ' ' || CAST(a.count AS TEXT) || ' ' || CAST(a.hold_nanos AS TEXT), ',')
   FROM (SELECT reason, CAST(SUM(count) AS BIGINT) AS count, CAST(SUM(hold_nanos) AS BIGINT) AS hold_nanos
         FROM apart GROUP BY reason) AS a)
FROM figures
UNION ALL
SELECT -1, p.start_us, p.end_us, p.names, p.calls, p.attempts, p.cost_nanos, p.input_tokens, p.output_tokens,
  p.search_units, p.images, p.image_tokens, p.text_tokens, p.classifications, p.pages, t.apart
FROM page AS p LEFT JOIN told AS t ON t.start_us = p.start_us AND t.end_us = p.end_us AND t.names = p.names"""
