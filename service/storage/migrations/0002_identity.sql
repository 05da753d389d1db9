-- Who may call: access keys and service accounts. What is here gives no access: of a key there is an HMAC under a pepper
-- that is kept elsewhere, of an account the public half of a key.
-- Times are microseconds since 1970 (*_us), 0 where something has not happened; last_used_day is days since 1970.
-- A row's seal is an HMAC over all that it grants, under the pepper of pepper_version; empty once it is revoked. Only
-- last_used_day, replaced_by and revoked_at_us are not under it.

-- scopes and models are JSON arrays of text, sorted; no model means all of the team's, max_tokens_per_call NULL the team's.
-- requests_per_minute and requests_per_day are NULL where nothing but the team's limits holds. line is the id of the key that
-- it took the place of by rotations, its own if of none: all keys of a line are counted as one.
-- grant_expires_at_us is until when an operator let it live: what takes its place without one ends then at the latest.
CREATE TABLE access_key (
  id TEXT NOT NULL PRIMARY KEY,
  digest BYTEA NOT NULL,
  pepper_version TEXT NOT NULL,
  team TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  models TEXT NOT NULL,
  max_tokens_per_call BIGINT,
  requests_per_minute BIGINT,
  requests_per_day BIGINT,
  line TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at_us BIGINT NOT NULL,
  grant_expires_at_us BIGINT NOT NULL,
  seal BYTEA NOT NULL,
  revoked_at_us BIGINT NOT NULL DEFAULT 0,
  replaced_by TEXT NOT NULL DEFAULT '',
  last_used_day BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX access_key_place ON access_key (team, name, created_at_us, id);

CREATE TABLE service_account (
  id TEXT NOT NULL PRIMARY KEY,
  pepper_version TEXT NOT NULL,
  team TEXT NOT NULL,
  name TEXT NOT NULL,
  scopes TEXT NOT NULL,
  models TEXT NOT NULL,
  max_tokens_per_call BIGINT,
  public_key TEXT NOT NULL,
  algorithm TEXT NOT NULL CHECK (algorithm IN ('EdDSA', 'ES256')),
  created_at_us BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  seal BYTEA NOT NULL,
  revoked_at_us BIGINT NOT NULL DEFAULT 0,
  last_used_day BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX service_account_place ON service_account (team, name, created_at_us, id);

-- One row, counted up by every change that a replica has to know of; each looks every second.
CREATE TABLE identity_version (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  version BIGINT NOT NULL
);
INSERT INTO identity_version (one, version) VALUES (1, 1);
