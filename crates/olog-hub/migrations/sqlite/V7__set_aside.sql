-- Stored values that the running version cannot read: a later version wrote them, or they are damaged.

CREATE TABLE set_aside (
  id     INTEGER PRIMARY KEY,
  kind   TEXT NOT NULL,     -- set_aside::Kind: which column of which table
  row_id BIGINT NOT NULL,   -- the row's id there, where it has one; else 0
  name   TEXT NOT NULL,     -- for a person: a channel, a task, a device
  value  TEXT,              -- the text as it was; NULL: it still stands in its row
  why    TEXT NOT NULL,     -- why it cannot be read
  at     BIGINT NOT NULL,
  is_told BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX set_aside_of ON set_aside (kind, row_id);
