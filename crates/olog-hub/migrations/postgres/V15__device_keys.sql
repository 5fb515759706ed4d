-- A device announces its next key, and changes to it.

ALTER TABLE devices ADD COLUMN next_key TEXT;       -- announced, and not used yet; the first session with it makes it the key
ALTER TABLE devices ADD COLUMN next_key_at BIGINT;  -- when the last key was announced, used or not
ALTER TABLE devices ADD COLUMN key_at BIGINT;       -- since when the key is the device's; NULL: since it joined
CREATE UNIQUE INDEX devices_next_key ON devices (next_key);
