-- Silences, what they hold back, and which notification was held by which.

CREATE TABLE silences (
  id          INTEGER PRIMARY KEY,
  device      TEXT NOT NULL,           -- a pattern of names
  task        TEXT,                    -- a pattern of names; NULL: the devices themselves too
  fingerprint BIGINT,                  -- only this error; NULL: whatever it is
  comment     TEXT NOT NULL,
  made_by     TEXT NOT NULL,
  made_at     BIGINT NOT NULL,
  from_at     BIGINT NOT NULL,         -- it holds from then; of a window that comes again: of this one, or of the next
  until_at    BIGINT,                  -- until then; NULL: until a person ends it
  every       TEXT,                    -- begins again, as crontab(5) has it …
  lasts       BIGINT,                  -- … for so many ms …
  zone        TEXT,                    -- … of this time zone
  ended_at    BIGINT,                  -- a person ended it
  released_at BIGINT                   -- it is over, and what it held was told
);
CREATE INDEX silences_kept ON silences (until_at) WHERE ended_at IS NULL;

-- What a person would have heard of by now: one row for each matter of which a silence has held something back.
CREATE TABLE held (
  incident_id  BIGINT NOT NULL,        -- 0: of none
  about_id     BIGINT NOT NULL,        -- of an incident of several devices: which; of none: the task; else 0
  silence_id   BIGINT NOT NULL,
  knew         BIGINT NOT NULL,        -- 1: a person was told that it began
  is_over      BIGINT NOT NULL,        -- 1: it has ended since
  notice       TEXT NOT NULL,          -- JSON of olog_push::Notice: what was held
  fingerprints TEXT NOT NULL,          -- JSON: which errors it is of
  PRIMARY KEY (incident_id, about_id)
) WITHOUT ROWID;
CREATE INDEX held_by ON held (silence_id);

ALTER TABLE outbox ADD COLUMN silence_id BIGINT;  -- who held it back, when outcome is silenced
