-- A device fills only its own quota, takes turns with the others, and does not look like another one.

ALTER TABLE devices ADD COLUMN quota TEXT;  -- JSON of quota::QuotaState; NULL: nothing counted yet

ALTER TABLE devices ADD COLUMN look TEXT;   -- device_name::look of its name; NULL: not computed since the name changed
CREATE INDEX devices_look ON devices (look) WHERE state = 'joined';

ALTER TABLE outbox ADD COLUMN device TEXT;                         -- whose notification; NULL: the hub's own, or several devices'
ALTER TABLE outbox ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;      -- how many of this device waited already: 0 goes before 1
CREATE INDEX outbox_turns ON outbox (channel, place, urgency, turn, id) WHERE done_at IS NULL;
CREATE INDEX outbox_of_device ON outbox (channel, device, turn) WHERE done_at IS NULL AND device IS NOT NULL;

CREATE INDEX incidents_open_of_device ON incidents (device_id) WHERE ended_at IS NULL;
