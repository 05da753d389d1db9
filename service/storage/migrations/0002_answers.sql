-- On a call's first attempt: how often its answer record was written. Only the first time counts, for a commit of
-- which nobody knows is repeated.
ALTER TABLE call_hold ADD COLUMN answer_writes INTEGER NOT NULL DEFAULT 0;
