"""The one statement that usage is reported by. It sums in the database and gives no more rows than a page has.

Each row of the rollups is read once: those of a day wholly inside the window from `usage_day`, all others, quarter by
quarter, from `usage_quarter`. Which of the two it is each row says itself, by the bounds of its day. Days that the
window cuts, or all of them where hours are asked for, are found in `budget_period`: at most two a budget, so that of
the quarters, by far the most rows, only those are touched that count.
"""

BY_NO_TIME, BY_DAY, BY_HOUR = range(3)
"""The ninth value of `USAGE`."""
ROW = -1
"""The first column of a row of the page. Of the total it tells how many rows there are on all pages."""

# Values: $1 1 for all teams; $2 the team, if not all; $3 and $4 the window's bounds; $5 to $8 1 for what has rows of
# its own: credential, model, endpoint, team; $9 one of BY_…; $10 and $11 how many rows, after how many.
# Columns: ROW, or how many rows all pages have; start and end of the hour or day; the names asked for, in the order of
# $5 to $8, on a line each; the figures; and what stands apart from them as text with commas between, each failure as
# "REASON CALLS 0" and what is unresolved as "open ATTEMPTS NANOS"; a reason may come more than once.
#
# CROSS JOIN keeps SQLite from choosing another order: budget by budget, each one's days lie together. Bounds that say
# twice how few days are cut keep PostgreSQL from reading every quarter hour. No local day is as long as three days
# (259200000000 µs). An attempt may be dated beside its day by what clocks differ, far less than a day (86400000000); it
# counts inside, as in the rollups.
#
# SQLite sorts to group, and that is most of the time. So each table is summed up by itself, straight from its rows and
# once, with the reasons; what comes of it is little, and is what all the rest is made from. What is compared is short,
# one text, times, and NULL where nothing is asked for, and in the order that takes the fewest comparisons.
# Days are most of the rows, and `fine` has them from one of four selects, by what is asked for. By day and access key
# hardly two rows fall together, and they are taken as they are. Each team's days, or one's, are summed up in the order
# of their key, which takes no sorting. What else there is by day is sorted, and what is not by day, by less.
# CAST: PostgreSQL sums up to NUMERIC, which is slow to sum up again.
USAGE = """
WITH days AS NOT MATERIALIZED (
  SELECT b.budget_id, u.*
  FROM budget AS b CROSS JOIN usage_day AS u
  WHERE ($1 = 1 OR b.budget_id = $2) AND u.team = b.budget_id
    AND u.day_start_us >= $3 AND u.day_start_us < $4 AND u.day_end_us <= $4
), fine AS MATERIALIZED (
  SELECT day_start_us AS by_start,
    concat_ws('\n', CASE WHEN $5 = 1 THEN credential_id END, CASE WHEN $6 = 1 THEN model END,
      CASE WHEN $7 = 1 THEN endpoint END, CASE WHEN $8 = 1 THEN team END) AS names,
    day_end_us AS by_end, reason, calls, attempts, cost_nanos, input_tokens, output_tokens, search_units, images,
    image_tokens, text_tokens, classifications, pages, 0 AS unresolved, 0 AS hold_nanos
  FROM days WHERE $9 = 1 AND $5 = 1
  UNION ALL
  SELECT day_start_us, CASE WHEN $8 = 1 THEN team ELSE '' END, MIN(day_end_us), reason,
    CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT), CAST(SUM(cost_nanos) AS BIGINT),
    CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(search_units) AS BIGINT),
    CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT), CAST(SUM(text_tokens) AS BIGINT),
    CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT), 0, 0
  FROM days WHERE $9 = 1 AND $5 = 0 AND $6 = 0 AND $7 = 0 AND ($8 = 1 OR $1 = 0)
  GROUP BY budget_id, team, day_start_us, reason
  UNION ALL
  SELECT day_start_us,
    concat_ws('\n', CASE WHEN $6 = 1 THEN model END, CASE WHEN $7 = 1 THEN endpoint END,
      CASE WHEN $8 = 1 THEN team END),
    day_end_us, reason,
    CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT), CAST(SUM(cost_nanos) AS BIGINT),
    CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(search_units) AS BIGINT),
    CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT), CAST(SUM(text_tokens) AS BIGINT),
    CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT), 0, 0
  FROM days WHERE $9 = 1 AND $5 = 0 AND ($6 = 1 OR $7 = 1 OR ($8 = 0 AND $1 = 1))
  GROUP BY 2, 1, 4, 3
  UNION ALL
  SELECT NULL,
    concat_ws('\n', CASE WHEN $5 = 1 THEN credential_id END, CASE WHEN $6 = 1 THEN model END,
      CASE WHEN $7 = 1 THEN endpoint END, CASE WHEN $8 = 1 THEN team END),
    NULL, reason,
    CAST(SUM(calls) AS BIGINT), CAST(SUM(attempts) AS BIGINT), CAST(SUM(cost_nanos) AS BIGINT),
    CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT), CAST(SUM(search_units) AS BIGINT),
    CAST(SUM(images) AS BIGINT), CAST(SUM(image_tokens) AS BIGINT), CAST(SUM(text_tokens) AS BIGINT),
    CAST(SUM(classifications) AS BIGINT), CAST(SUM(pages) AS BIGINT), 0, 0
  FROM days WHERE $9 = 0
  GROUP BY 2, 4
  UNION ALL
  SELECT
    CASE WHEN $9 = 1 THEN u.day_start_us
         WHEN $9 = 2 THEN u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 END,
    concat_ws('\n', CASE WHEN $5 = 1 THEN u.credential_id END, CASE WHEN $6 = 1 THEN u.model END,
      CASE WHEN $7 = 1 THEN u.endpoint END, CASE WHEN $8 = 1 THEN u.team END),
    CASE WHEN $9 = 1 THEN u.day_end_us
         WHEN $9 = 2 AND
           u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 + 3600000000 > u.day_end_us
         THEN u.day_end_us
         WHEN $9 = 2 THEN u.quarter_start_us - (u.quarter_start_us - u.day_start_us) % 3600000000 + 3600000000 END,
    u.reason,
    CAST(SUM(u.calls) AS BIGINT), CAST(SUM(u.attempts) AS BIGINT), CAST(SUM(u.cost_nanos) AS BIGINT),
    CAST(SUM(u.input_tokens) AS BIGINT), CAST(SUM(u.output_tokens) AS BIGINT), CAST(SUM(u.search_units) AS BIGINT),
    CAST(SUM(u.images) AS BIGINT), CAST(SUM(u.image_tokens) AS BIGINT), CAST(SUM(u.text_tokens) AS BIGINT),
    CAST(SUM(u.classifications) AS BIGINT), CAST(SUM(u.pages) AS BIGINT), 0, 0
  FROM budget AS b CROSS JOIN budget_period AS d CROSS JOIN usage_quarter AS u
  WHERE ($1 = 1 OR b.budget_id = $2) AND d.budget_id = b.budget_id
    AND d.period_start_us > $3 - 259200000000 AND d.period_start_us < $4 AND d.period_end_us > $3
    AND ($9 = 2 OR (d.period_start_us > $3 - 259200000000 AND d.period_start_us < $3)
         OR (d.period_start_us > $4 - 259200000000 AND d.period_end_us > $4))
    AND u.team = d.budget_id AND u.day_start_us = d.period_start_us
    AND u.quarter_start_us >= CASE WHEN d.period_start_us < $3 THEN $3 ELSE d.period_start_us END
    AND u.quarter_start_us < CASE WHEN d.period_end_us < $4 THEN d.period_end_us ELSE $4 END
  GROUP BY 2, 1, 4, 3
  UNION ALL
  SELECT CASE WHEN $9 = 1 THEN day_start_us WHEN $9 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 END,
    concat_ws('\n', CASE WHEN $5 = 1 THEN credential_id END, CASE WHEN $6 = 1 THEN model END,
      CASE WHEN $7 = 1 THEN endpoint END, CASE WHEN $8 = 1 THEN team END),
    CASE WHEN $9 = 1 THEN day_end_us
         WHEN $9 = 2 AND at_us - (at_us - day_start_us) % 3600000000 + 3600000000 > day_end_us THEN day_end_us
         WHEN $9 = 2 THEN at_us - (at_us - day_start_us) % 3600000000 + 3600000000 END,
    state, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, COUNT(*), CAST(SUM(hold_nanos) AS BIGINT)
  FROM (
    SELECT h.budget_id AS team, h.endpoint, h.model, h.credential_id, h.state, h.hold_nanos,
      d.period_start_us AS day_start_us, d.period_end_us AS day_end_us,
      CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
           WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END AS at_us
    FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
    WHERE ($1 = 1 OR b.budget_id = $2) AND h.budget_id = b.budget_id AND h.state = 'open'
      AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
      AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
      AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
      AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
    UNION ALL
    SELECT h.budget_id, h.endpoint, h.model, h.credential_id, h.state, h.hold_nanos,
      d.period_start_us, d.period_end_us,
      CASE WHEN h.at_us < d.period_start_us THEN d.period_start_us
           WHEN h.at_us < d.period_end_us THEN h.at_us ELSE d.period_end_us - 1 END
    FROM budget AS b CROSS JOIN call_hold AS h CROSS JOIN budget_period AS d
    WHERE ($1 = 1 OR b.budget_id = $2) AND h.budget_id = b.budget_id AND h.state = 'forfeited'
      AND h.at_us >= $3 - 86400000000 AND h.at_us < $4 + 86400000000
      AND d.budget_id = h.budget_id AND d.period_start_us = h.period_start_us
      AND (h.at_us >= $3 OR d.period_start_us >= $3) AND d.period_end_us > $3
      AND (h.at_us < $4 OR d.period_end_us <= $4) AND d.period_start_us < $4
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
