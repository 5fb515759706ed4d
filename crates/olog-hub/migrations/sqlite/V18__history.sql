-- Events are read by people, the newest first, over all devices.

CREATE INDEX events_received ON events (received_at, epoch_id, n);
