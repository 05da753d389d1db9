-- Limits and pacing. Nothing here is money or record: lost rows let a window begin anew, at worst.
-- Times are microseconds since 1970 (*_us).

-- The permits of one window. scope names whose and which limit; granted is the last chunk, which its taker reads.
-- promised counts those who were told to come back in this window.
CREATE TABLE permit_window (
  scope TEXT NOT NULL,
  start_us BIGINT NOT NULL,
  end_us BIGINT NOT NULL,
  taken BIGINT NOT NULL DEFAULT 0,
  granted BIGINT NOT NULL DEFAULT 0,
  promised BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, start_us)
);
CREATE INDEX permit_window_end ON permit_window (end_us);

-- How fast one Cohere key may be used for one of Cohere's limits. next_us: up to when turns are given out. permille: how
-- much of the full rate is used, which a 429 lowers; slowed_at_us: when it was lowered last.
CREATE TABLE pace (
  scope TEXT NOT NULL PRIMARY KEY,
  next_us BIGINT NOT NULL,
  permille INTEGER NOT NULL DEFAULT 1000,
  slowed_at_us BIGINT NOT NULL DEFAULT 0
);
