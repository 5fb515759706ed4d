-- Reports, and what they need that events do not keep.

ALTER TABLE devices ADD COLUMN known_at BIGINT;    -- of the first report that named it: [NEW] until then
ALTER TABLE devices ADD COLUMN days TEXT;          -- JSON of state::Days
ALTER TABLE devices ADD COLUMN booted_at BIGINT;
ALTER TABLE devices ADD COLUMN was TEXT;           -- the name that it had …
ALTER TABLE devices ADD COLUMN renamed_at BIGINT;  -- … until then

ALTER TABLE tasks ADD COLUMN known_at BIGINT;
CREATE INDEX tasks_unknown ON tasks (id) WHERE known_at IS NULL;

ALTER TABLE epochs ADD COLUMN swept BIGINT NOT NULL DEFAULT 0;  -- of events up to this number only the digest is kept, or nothing

CREATE INDEX incidents_ended ON incidents (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE reports (
  id        INTEGER PRIMARY KEY,
  window_to BIGINT UNIQUE,            -- its window's end: two hubs or two wake-ups make one; NULL: a person asked for it
  from_at   BIGINT NOT NULL,
  to_at     BIGINT NOT NULL,
  made_at   BIGINT NOT NULL,
  token     TEXT NOT NULL UNIQUE,     -- nobody guesses it: who has it may read the page
  facts     TEXT NOT NULL,            -- JSON of olog_push::ReportFacts
  page      TEXT                      -- NULL once it has been kept long enough
);

CREATE TABLE report_files (           -- files in html_dir that Olog wrote, or was about to write
  path    TEXT PRIMARY KEY,
  made_at BIGINT NOT NULL
);
