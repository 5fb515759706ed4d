-- A join link says who made it, for how many devices, and which ones joined by it.

ALTER TABLE links ADD COLUMN made_by TEXT;
ALTER TABLE links ADD COLUMN uses BIGINT;
ALTER TABLE links ADD COLUMN joined TEXT;  -- JSON: names of devices, a bounded number
