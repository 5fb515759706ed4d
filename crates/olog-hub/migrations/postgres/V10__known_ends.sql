-- An end may be older than its news: an error that was quiet for a day ended when it was last seen. A report tells it in the window
-- in which it became known.

ALTER TABLE incidents ADD COLUMN end_known_at BIGINT;  -- NULL: ended_at
DROP INDEX incidents_ended;
CREATE INDEX incidents_ended ON incidents ((COALESCE(end_known_at, ended_at))) WHERE ended_at IS NOT NULL;
