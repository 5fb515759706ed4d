-- Which devices a message told of: a channel's budget is divided among them.

ALTER TABLE messages ADD COLUMN devices TEXT;  -- JSON: their names, a bounded number; "" is the hub itself
