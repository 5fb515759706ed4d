-- By what a ping (/ping/…) knows its device or its task. Secrets are stored as hashes only.

CREATE TABLE ping_keys (
  hash      TEXT PRIMARY KEY,
  device_id BIGINT NOT NULL,
  task      TEXT NOT NULL DEFAULT '',     -- '': the key of the device, whose tasks are in the address; else the task's name when it was made
  made_at   BIGINT NOT NULL,
  UNIQUE (device_id, task)
);
