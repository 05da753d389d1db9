-- The books: budgets, holds, the audit trail and the rollups of usage.
-- Times are microseconds since 1970 (*_us), money is nano-USD (*_nanos). A statement ends where a line ends in ";".
-- What stands in a comment that begins with "SQLite:" is for SQLite alone, WITHOUT ROWID for one: there the rows lie in the
-- order of their key, as those of a report have to, or each of them costs a page of its own from the disk.

-- One row for each budget ever used: whoever opens a period of it or freezes it locks this row.
-- frozen_at_us is 0 unless an operator has frozen the team.
CREATE TABLE budget (
  budget_id TEXT NOT NULL PRIMARY KEY,
  frozen_at_us BIGINT NOT NULL
);

-- committed = spent + held; the limit is a parameter of the statements and stored nowhere. Below 0 only where an
-- adjustment gave back what an attempt under way gives back, too. frozen stands here as well because PostgreSQL, after
-- waiting for a row, looks anew at this row alone. Periods of one budget never overlap.
CREATE TABLE budget_period (
  budget_id TEXT NOT NULL,
  period_start_us BIGINT NOT NULL,
  period_end_us BIGINT NOT NULL,
  committed_nanos BIGINT NOT NULL,
  frozen INTEGER NOT NULL CHECK (frozen IN (0, 1)),
  PRIMARY KEY (budget_id, period_start_us),
  CHECK (period_start_us < period_end_us)
) /* SQLite: WITHOUT ROWID */;

-- One row for each HTTP request to Cohere that can cost money. answer_writes and correction_writes, on a call's first
-- attempt, count how often its answer record and the correction of it were written, for only the first time counts.
-- has_outcome: its outcome record is written, once. A void one without a price_version was never admitted: it keeps the
-- place of a commit whose end is not known, or counts the writes of a call that had no attempt.
CREATE TABLE call_hold (
  call_id TEXT NOT NULL,
  attempt INTEGER NOT NULL CHECK (attempt >= 1),
  budget_id TEXT NOT NULL,
  period_start_us BIGINT NOT NULL,
  hold_nanos BIGINT NOT NULL CHECK (hold_nanos >= 0),
  charge_nanos BIGINT CHECK (charge_nanos >= 0),
  answer_writes INTEGER NOT NULL DEFAULT 0,
  correction_writes INTEGER NOT NULL DEFAULT 0,
  has_outcome INTEGER NOT NULL CHECK (has_outcome IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('open', 'settled', 'void', 'forfeited')),
  price_version TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  endpoint TEXT NOT NULL,
  model TEXT NOT NULL,
  credential_id TEXT NOT NULL,
  PRIMARY KEY (call_id, attempt)
);
-- What is open is little; what is forfeited stays, so its index has all that reports tell of it.
CREATE INDEX call_hold_open ON call_hold (budget_id, at_us) WHERE state = 'open';
CREATE INDEX call_hold_forfeited
  ON call_hold (budget_id, at_us, period_start_us, hold_nanos, endpoint, model, credential_id, state)
  WHERE state = 'forfeited';

-- amount_nanos > 0 charges, < 0 gives back.
CREATE TABLE budget_adjust (
  adjust_id TEXT NOT NULL PRIMARY KEY,
  budget_id TEXT NOT NULL,
  period_start_us BIGINT NOT NULL,
  amount_nanos BIGINT NOT NULL,
  at_us BIGINT NOT NULL,
  principal TEXT NOT NULL,
  note TEXT NOT NULL
);
CREATE INDEX budget_adjust_period ON budget_adjust (budget_id, period_start_us);

CREATE TABLE price_book (
  version TEXT NOT NULL PRIMARY KEY,
  at_us BIGINT NOT NULL,
  body TEXT NOT NULL
);

-- body is exactly what was hashed. at_us is in the key so that days can become partitions; (writer_id, seq) is unique
-- because a writer counts, and verification checks it.
CREATE TABLE audit (
  writer_id TEXT NOT NULL,
  seq BIGINT NOT NULL CHECK (seq >= 0),
  kind TEXT NOT NULL CHECK (kind IN ('intent', 'outcome', 'answer', 'notice')),
  call_id TEXT NOT NULL,
  team TEXT NOT NULL,
  at_us BIGINT NOT NULL,
  body TEXT NOT NULL,
  hash BYTEA NOT NULL,
  PRIMARY KEY (writer_id, seq, at_us)
);
CREATE INDEX audit_team ON audit (team, at_us);
CREATE INDEX audit_at ON audit (at_us);

-- The head of each writer's chain and its records by kind; updated once per batch.
CREATE TABLE audit_writer (
  writer_id TEXT NOT NULL PRIMARY KEY,
  started_at_us BIGINT NOT NULL,
  head_seq BIGINT NOT NULL,
  head_hash BYTEA NOT NULL,
  intents BIGINT NOT NULL DEFAULT 0,
  outcomes BIGINT NOT NULL DEFAULT 0,
  answers BIGINT NOT NULL DEFAULT 0,
  notices BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE checkpoint (
  number BIGINT NOT NULL PRIMARY KEY,
  at_us BIGINT NOT NULL,
  body TEXT NOT NULL,
  hash BYTEA NOT NULL,
  signature BYTEA NOT NULL
);

-- Each record of a call adds to exactly one row of usage_day and one of usage_quarter, with the same day_start_us.
-- What a day's reports have no rows for comes last in its key: a team's day is summed up in the order that it lies in.
CREATE TABLE usage_day (
  team TEXT NOT NULL,
  day_start_us BIGINT NOT NULL,
  day_end_us BIGINT NOT NULL,
  endpoint TEXT NOT NULL,
  model TEXT NOT NULL,
  credential_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  calls BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  cost_nanos BIGINT NOT NULL DEFAULT 0,
  input_tokens BIGINT NOT NULL DEFAULT 0,
  output_tokens BIGINT NOT NULL DEFAULT 0,
  search_units BIGINT NOT NULL DEFAULT 0,
  images BIGINT NOT NULL DEFAULT 0,
  image_tokens BIGINT NOT NULL DEFAULT 0,
  text_tokens BIGINT NOT NULL DEFAULT 0,
  classifications BIGINT NOT NULL DEFAULT 0,
  pages BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (team, day_start_us, reason, endpoint, model, credential_id)
) /* SQLite: WITHOUT ROWID */;

CREATE TABLE usage_quarter (
  team TEXT NOT NULL,
  quarter_start_us BIGINT NOT NULL,
  day_start_us BIGINT NOT NULL,
  day_end_us BIGINT NOT NULL,
  endpoint TEXT NOT NULL,
  model TEXT NOT NULL,
  credential_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  calls BIGINT NOT NULL DEFAULT 0,
  attempts BIGINT NOT NULL DEFAULT 0,
  cost_nanos BIGINT NOT NULL DEFAULT 0,
  input_tokens BIGINT NOT NULL DEFAULT 0,
  output_tokens BIGINT NOT NULL DEFAULT 0,
  search_units BIGINT NOT NULL DEFAULT 0,
  images BIGINT NOT NULL DEFAULT 0,
  image_tokens BIGINT NOT NULL DEFAULT 0,
  text_tokens BIGINT NOT NULL DEFAULT 0,
  classifications BIGINT NOT NULL DEFAULT 0,
  pages BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (team, quarter_start_us, day_start_us, endpoint, model, credential_id, reason)
) /* SQLite: WITHOUT ROWID */;
