-- Instants are milliseconds since 1970 UTC. Names of tables and columns are DESIGN's words.

CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE devices (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  asked      TEXT,                    -- the name that its agent last asked for: only a change renames
  key        TEXT UNIQUE,             -- NULL: declared or replaced, no key has joined yet
  state      TEXT NOT NULL,           -- joined | pending | forgotten
  address    TEXT,
  version    TEXT,
  made_at    BIGINT NOT NULL,
  joined_at  BIGINT,
  heard_at   BIGINT,
  boot       TEXT,
  peer       TEXT,
  skew       BIGINT,
  bye        TEXT,
  epoch_id   BIGINT,                  -- the epoch of its last session
  absence_id BIGINT                   -- the open incident that says it is LOST
);
CREATE UNIQUE INDEX devices_name ON devices (name) WHERE state <> 'forgotten' AND state <> 'pending';

CREATE TABLE epochs (
  id        INTEGER PRIMARY KEY,
  device_id BIGINT NOT NULL,
  epoch     TEXT NOT NULL,
  acked     BIGINT NOT NULL DEFAULT 0,  -- committed through this number
  missing   BIGINT NOT NULL DEFAULT 0,  -- numbers that never came
  refused   BIGINT NOT NULL DEFAULT 0,  -- 1: its numbers were found to be another spool's
  made_at   BIGINT NOT NULL,
  UNIQUE (device_id, epoch)
);

CREATE TABLE links (
  hash       TEXT PRIMARY KEY,        -- of the secret
  made_at    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  uses_left  BIGINT NOT NULL,
  device     TEXT                     -- the name it is for, when it replaces or presets one
) WITHOUT ROWID;

CREATE TABLE tasks (
  id          INTEGER PRIMARY KEY,
  device_id   BIGINT NOT NULL,
  name        TEXT NOT NULL,
  made_at     BIGINT NOT NULL,
  is_task     BIGINT NOT NULL,        -- 0: only messages came under this name, which make no task
  incident_id BIGINT,                 -- the open one
  due_at      BIGINT,                 -- when its facts must be looked at again
  facts       TEXT NOT NULL,          -- JSON of incident::TaskFacts
  UNIQUE (device_id, name)
);
CREATE INDEX tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE events (
  epoch_id    BIGINT NOT NULL,
  n           BIGINT NOT NULL,
  device_id   BIGINT NOT NULL,
  task_id     BIGINT,
  kind        TEXT NOT NULL,          -- as on the wire, or unreadable
  at          BIGINT NOT NULL,        -- in the hub's time
  received_at BIGINT NOT NULL,
  digest      BIGINT NOT NULL,
  body        TEXT NOT NULL,          -- JSON of the event
  PRIMARY KEY (epoch_id, n)
) WITHOUT ROWID;

CREATE TABLE incidents (
  id              INTEGER PRIMARY KEY,
  subject         TEXT NOT NULL,      -- task | device | note | channel | hub
  device_id       BIGINT,
  task_id         BIGINT,
  name            TEXT NOT NULL,      -- what it is about, for a person; of a note: its code and path
  began_at        BIGINT NOT NULL,
  last_at         BIGINT NOT NULL,    -- its last sign
  ended_at        BIGINT,
  ground          TEXT,
  n_seen          BIGINT NOT NULL,
  n_begun         BIGINT NOT NULL DEFAULT 1,
  acknowledged_at BIGINT,
  facts           TEXT NOT NULL       -- JSON, by subject
);
CREATE INDEX incidents_open ON incidents (subject, name) WHERE ended_at IS NULL;

CREATE TABLE outbox (
  id            INTEGER PRIMARY KEY,
  channel       TEXT NOT NULL,
  kind          TEXT NOT NULL,
  incident_id   BIGINT,
  is_first      BIGINT NOT NULL,      -- the first sign of an incident: cuts the channel's back-off
  made_at       BIGINT NOT NULL,
  notice        TEXT NOT NULL,        -- JSON of olog_push::Notice
  receivers     TEXT,                 -- JSON: who is left to accept it; NULL: everybody
  claim         TEXT,                 -- who holds it
  claimed_until BIGINT,
  message_id    BIGINT,               -- the message it last went with
  place         BIGINT NOT NULL DEFAULT 0,  -- 0: with the others; 1: after them; 2: after those, by itself
  n_attempts    BIGINT NOT NULL DEFAULT 0,
  done_at       BIGINT,
  outcome       TEXT                  -- accepted | refused | expired
);
CREATE INDEX outbox_waiting ON outbox (channel, place, id) WHERE done_at IS NULL;

CREATE TABLE messages (
  id      INTEGER PRIMARY KEY,
  channel TEXT NOT NULL,
  at      BIGINT NOT NULL,
  title   TEXT NOT NULL,
  rows    TEXT NOT NULL               -- JSON: the ids of the outbox rows that it carried
);

CREATE INDEX messages_of_channel ON messages (channel, at);

CREATE TABLE attempts (
  message_id BIGINT NOT NULL,
  receiver   TEXT NOT NULL,
  at         BIGINT NOT NULL,
  outcome    TEXT NOT NULL,           -- accepted | later | refused
  answer     TEXT NOT NULL,           -- the service's own words
  PRIMARY KEY (message_id, receiver)
) WITHOUT ROWID;

CREATE TABLE channels (
  name         TEXT PRIMARY KEY,
  config       TEXT,                  -- a hash of its configuration: a change ends a pause
  next_at      BIGINT,                -- no call before
  n_failed     BIGINT NOT NULL DEFAULT 0,
  failing_at   BIGINT,                -- since when
  paused_at    BIGINT,                -- its credential was refused
  why          TEXT,
  refused      TEXT                   -- JSON: receivers refused for good
) WITHOUT ROWID;
