-- Which versions of Cohere keys there were, and how one took the place of another. No row has a key in clear: sealed is
-- an envelope of a key that Cohort holds itself, and NULL for any other source.
-- Times are microseconds since 1970 (*_us), 0 where something has not happened.

-- state: staged, verified, current, previous, retired, destroyed, rolled_back or failed. fingerprint is an HMAC of the key.
CREATE TABLE cohere_key_version (
  team TEXT NOT NULL,
  version BIGINT NOT NULL,
  fingerprint BYTEA NOT NULL,
  reference TEXT NOT NULL,
  source_version TEXT NOT NULL DEFAULT '',
  organization_id TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL,
  created_at_us BIGINT NOT NULL,
  overlap_until_us BIGINT NOT NULL DEFAULT 0,
  sealed BYTEA,
  PRIMARY KEY (team, version)
);

-- open_team is the team until the rotation is current or over, so that a team has one at a time, and NULL then.
-- version is NULL where nothing could be read to rotate to, previous_version until it is current, or if there is none.
-- lease_until_us: whoever works on it will have come further by then, else another replica goes on.
CREATE TABLE cohere_key_rotation (
  id TEXT NOT NULL PRIMARY KEY,
  team TEXT NOT NULL,
  open_team TEXT UNIQUE,
  request_id TEXT NOT NULL DEFAULT '',
  request_digest BYTEA NOT NULL,
  version BIGINT,
  previous_version BIGINT,
  state TEXT NOT NULL,
  overlap_us BIGINT NOT NULL,
  probe INTEGER NOT NULL CHECK (probe IN (0, 1)),
  cause TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  started_by TEXT NOT NULL,
  started_at_us BIGINT NOT NULL,
  changed_at_us BIGINT NOT NULL,
  lease_holder TEXT NOT NULL DEFAULT '',
  lease_until_us BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX cohere_key_rotation_team ON cohere_key_rotation (team, started_at_us);
CREATE UNIQUE INDEX cohere_key_rotation_request ON cohere_key_rotation (team, request_id) WHERE request_id <> '';

-- One row, counted up by every change that a replica has to know of; each looks every second.
CREATE TABLE cohere_key_change (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  version BIGINT NOT NULL
);
INSERT INTO cohere_key_change (one, version) VALUES (1, 1);
