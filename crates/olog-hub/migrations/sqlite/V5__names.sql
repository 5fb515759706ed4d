-- Tasks under a name that a person gave them, and devices that were forgotten.

CREATE TABLE task_aliases (
  device_id BIGINT NOT NULL,
  name      TEXT NOT NULL,             -- as events have it
  task_id   BIGINT NOT NULL,           -- whose they are
  made_at   BIGINT NOT NULL,
  PRIMARY KEY (device_id, name)
) WITHOUT ROWID;

ALTER TABLE tasks ADD COLUMN was TEXT;            -- the name that it had …
ALTER TABLE tasks ADD COLUMN renamed_at BIGINT;   -- … until then

ALTER TABLE devices ADD COLUMN forgotten_at BIGINT;  -- what is older recreates none of its tasks

DROP INDEX tasks_unknown;  -- a report marks the rows that it has read
