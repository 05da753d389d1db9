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

# Values: $1 one of BY_…; $2 to $5 1 for what has rows of its own: credential, model, endpoint, team; $6 1 for all
# teams; $7 the team, if not all; $8 and $9 the window's bounds; $10 and $11 how many rows, after how many.
# Columns: ROW, or how many rows all pages have; start and end of the hour or day; the names asked for, in the order of
# $2 to $5, on a line each; the figures; and what stands apart from them as text with commas between, each failure as
# "REASON CALLS 0" and what is unresolved as "open ATTEMPTS NANOS"; a reason may come once from each table.
#
# CROSS JOIN keeps SQLite from choosing another order: budget by budget, each one's days lie together. Bounds that say
# twice how few days are cut keep PostgreSQL from reading every quarter hour. No local day is as long as three days
# (259200000000 µs). An attempt may be dated beside its day by what clocks differ, far less than a day (86400000000); it
# counts inside, as in the rollups.
#
# SQLite sorts to group, and that is most of the time. So each table is summed up by itself, straight from its rows and
# once, with the reasons; what comes of it is little, and is what all the rest is made from. What is compared is short,
# one text, times, and NULL where nothing is asked for, and in the order that takes the fewest comparisons.
USAGE = """
WITH fine AS MATERIALIZED (
  SELECT CASE WHEN $1 = 1 THEN u.day_start_us END AS by_start,
    concat_ws('\n', CASE WHEN $2 = 1 THEN u.credential_id END, CASE WHEN $3 = 1 THEN u.model END,
      CASE WHEN $4 = 1 THEN u.endpoint END, CASE WHEN $5 = 1 THEN u.team END) AS names,
    CASE WHEN $1 = 1 THEN u.day_end_us END AS by_end, u.reason,
    SUM(u.calls) AS calls, SUM(u.attempts) AS attempts, SUM(u.cost_nanos) AS cost_nanos,
    SUM(u.input_tokens) AS input_tokens, SUM(u.output_tokens) AS output_tokens, SUM(u.search_units) AS search_units,
    SUM(u.images) AS images, SUM(u.image_tokens) AS image_tokens, SUM(u.text_tokens) AS text_tokens,
    SUM(u.classifications) AS classifications, SUM(u.pages) AS pages, 0 AS unresolved, 0 AS hold_nanos
  FROM budget AS b CROSS JOIN usage_day AS u
  WHERE $1 < 2 AND ($6 = 1 OR b.budget_id = $7) AND u.team = b.budget_id
    AND u.day_start_us >= $8 AND u.day_start_us < $9 AND u.day_end_us <= $9
  GROUP BY 2, 1, 4, 3
  UNION ALL
  SELECT
    CASE WHEN $1 = 1 THEN u.day_start_us
         WHEN $1 = 2 THEN u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 END,
    concat_ws('\n', CASE WHEN $2 = 1 THEN u.credential_id END, CASE WHEN $3 = 1 THEN u.model END,
      CASE WHEN $4 = 1 THEN u.endpoint END, CASE WHEN $5 = 1 THEN u.team END),
    CASE WHEN $1 = 1 THEN u.day_end_us
         WHEN $1 = 2 AND
           u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 + 3600000000 > u.day_end_us
         THEN u.day_end_us
         WHEN $1 = 2 THEN u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 + 3600000000 END,
    u.reason,
    SUM(u.calls), SUM(u.attempts), SUM(u.cost_nanos), SUM(u.input_tokens), SUM(u.output_tokens), SUM(u.search_units),
    SUM(u.images), SUM(u.image_tokens), SUM(u.text_tokens), SUM(u.classifications), SUM(u.pages), 0, 0
  FROM budget AS b CROSS JOIN budget_period AS d CROSS JOIN usage_quarter AS u
  WHERE ($6 = 1 OR b.budget_id = $7) AND d.budget_id = b.budget_id
    AND d.period_start_us > $8 - 259200000000 AND d.period_start_us < $9 AND d.period_end_us > $8
    AND ($1 = 2 OR (d.period_start_us > $8 - 259200000000 AND d.period_start_us < $8)
         OR (d.period_start_us > $9 - 259200000000 AND d.period_end_us > $9))
    AND u.team = d.budget_id AND u.day_start_us = d.period_start_us
    AND u.quarter_start_us >= CASE WHEN d.period_start_us < $8 THEN $8 ELSE d.period_start_us END
    AND u.quarter_start_us < CASE WHEN d.period_end_us < $9 THEN d.period_end_us ELSE $9 END
  GROUP BY 2, 1, 4, 3
  UNION ALL
  SELECT CASE WHEN $1 = 1 THEN day_start_us WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 END,
    concat_ws('\n', CASE WHEN $2 = 1 THEN credential_id END, CASE WHEN $3 = 1 THEN model END,
      CASE WHEN $4 = 1 THEN endpoint END, CASE WHEN $5 = 1 THEN team END),
    CASE WHEN $1 = 1 THEN day_end_us
         WHEN $1 = 2 AND at_us - (at_us - day_start_us) % 3600000000 + 3600000000 > day_end_us THEN day_end_us
         WHEN $1 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 + 3600000000 END,
    state, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, COUNT(*), SUM(hold_nanos)
  FROM (
    SELECT h.budget_id AS team, h.endpoint, h.model, h.credential_id, h.state, h.hold_nanos,
      d.period_start_us AS day_start_us, d.period_end_us AS day_end_us,
      CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
           WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END AS at_us
    FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
    WHERE ($6 = 1 OR b.budget_id = $7) AND h.budget_id = b.budget_id AND h.state = 'open'
      AND h.at_us >= $8 - 86400000000 AND h.at_us < $9 + 86400000000
      AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
      AND (h.at_us >= $8 OR d.period_start_us >= $8) AND d.period_end_us > $8
      AND (h.at_us < $9 OR d.period_end_us <= $9) AND d.period_start_us < $9
    UNION ALL
    SELECT h.budget_id, h.endpoint, h.model, h.credential_id, h.state, h.hold_nanos,
      d.period_start_us, d.period_end_us,
      CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
           WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END
    FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
    WHERE ($6 = 1 OR b.budget_id = $7) AND h.budget_id = b.budget_id AND h.state = 'forfeited'
      AND h.at_us >= $8 - 86400000000 AND h.at_us < $9 + 86400000000
      AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
      AND (h.at_us >= $8 OR d.period_start_us >= $8) AND d.period_end_us > $8
      AND (h.at_us < $9 OR d.period_end_us <= $9) AND d.period_start_us < $9
  ) AS h
  GROUP BY 2, 1, 4, 3
), figures AS MATERIALIZED (
  SELECT COALESCE(by_start, 0) AS start_us, COALESCE(by_end, 0) AS end_us, names,
    CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(attempts) AS BIGINT) AS attempts,
    CAST(SUM(cost_nanos) AS BIGINT) AS cost_nanos, CAST(SUM(input_tokens) AS BIGINT) AS input_tokens,
    CAST(SUM(output_tokens) AS BIGINT) AS output_tokens, CAST(SUM(search_units) AS BIGINT) AS search_units,
    CAST(SUM(images) AS BIGINT) AS images, CAST(SUM(image_tokens) AS BIGINT) AS image_tokens,
    CAST(SUM(text_tokens) AS BIGINT) AS text_tokens, CAST(SUM(classifications) AS BIGINT) AS classifications,
    CAST(SUM(pages) AS BIGINT) AS pages,
    string_agg(CASE WHEN reason <> ''
      THEN reason || ' ' || CAST(calls + unresolved AS TEXT) || ' ' || CAST(hold_nanos AS TEXT) END, ',') AS apart
  FROM fine GROUP BY by_start, names, by_end
), page AS (
  SELECT * FROM figures ORDER BY cost_nanos DESC, start_us, end_us, names LIMIT $10 OFFSET $11
)
SELECT COUNT(*), 0, 0, '', CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT),
  CAST(SUM(cost_nanos) AS BIGINT), CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
  CAST(SUM(search_units) AS BIGINT), CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT),
  CAST(SUM(text_tokens) AS BIGINT), CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT),
  (SELECT string_agg(a.reason || ' ' || CAST(a.count AS TEXT) || ' ' || CAST(a.hold_nanos AS TEXT), ',')
   FROM (SELECT reason, SUM(calls + unresolved) AS count, SUM(hold_nanos) AS hold_nanos
         FROM fine WHERE reason <> '' GROUP BY reason) AS a)
FROM figures
UNION ALL
SELECT -1, p.start_us, p.end_us, p.names, p.calls, p.attempts, p.cost_nanos, p.input_tokens, p.output_tokens,
  p.search_units, p.images, p.image_tokens, p.text_tokens, p.classifications, p.pages, p.apart
FROM page AS p"""
