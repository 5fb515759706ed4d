-- What is expected of tasks, and when their devices came back.

ALTER TABLE tasks ADD COLUMN expect TEXT NOT NULL DEFAULT '{}'; -- JSON of expect::Facts
ALTER TABLE tasks ADD COLUMN late_at BIGINT;                    -- LOST from then on, unless it comes; NULL: nothing expected, or LOST
ALTER TABLE tasks ADD COLUMN lost_id BIGINT;                    -- the open incident that says it is LOST
ALTER TABLE tasks ADD COLUMN declared TEXT;                     -- what hub.toml says of it, as it was last applied
CREATE INDEX tasks_late ON tasks (device_id, late_at) WHERE late_at IS NOT NULL;

ALTER TABLE devices ADD COLUMN back_at BIGINT;                  -- when its last session began
ALTER TABLE devices ADD COLUMN named BIGINT;                    -- the last number that it held then
