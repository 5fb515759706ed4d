-- Which events may contain a text: events in the order of their coming, in chunks, and the grams of each chunk's texts.

CREATE TABLE search_chunks (
  id             INTEGER PRIMARY KEY,
  first_received BIGINT NOT NULL,     -- the place of its first event
  first_epoch    BIGINT NOT NULL,
  first_n        BIGINT NOT NULL,
  last_received  BIGINT NOT NULL,     -- the place of its last event
  last_epoch     BIGINT NOT NULL,
  last_n         BIGINT NOT NULL,
  UNIQUE (last_received, last_epoch, last_n)
);
CREATE VIRTUAL TABLE search_grams USING fts5(grams, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii');
