-- A channel's budget of a day, and claims of thousands of rows.

ALTER TABLE outbox ADD COLUMN urgency BIGINT NOT NULL DEFAULT 3;  -- budget::Urgency: 0 asked for, 1 first sign, 2 report, 3 other trouble, 4 can wait
UPDATE outbox SET urgency = CASE WHEN is_first = 1 THEN 1 WHEN kind = 'report' THEN 2
                                 WHEN kind IN ('over', 'back', 'msg', 'remind') THEN 4 ELSE 3 END WHERE done_at IS NULL;
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (channel, place, urgency, id) WHERE done_at IS NULL;
CREATE INDEX outbox_first ON outbox (channel, made_at) WHERE done_at IS NULL AND is_first = 1;
CREATE INDEX outbox_claimed ON outbox (channel, claim) WHERE done_at IS NULL AND claim IS NOT NULL;
CREATE INDEX outbox_of_incident ON outbox (incident_id) WHERE incident_id IS NOT NULL;

ALTER TABLE messages ADD COLUMN is_report BIGINT NOT NULL DEFAULT 0;

ALTER TABLE channels ADD COLUMN rearmed_at BIGINT;    -- what was sent before does not count any more
ALTER TABLE channels ADD COLUMN held_through BIGINT;  -- rows up to this one have waited for the budget
