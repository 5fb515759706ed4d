-- Alerts that a Prometheus has sent (POST /api/v2/alerts): which task each set of labels is, and when it is over unless it is sent again.

CREATE TABLE alerts (
  id        INTEGER PRIMARY KEY,
  device_id BIGINT NOT NULL,
  labels    TEXT NOT NULL,              -- hash of the set
  label_set TEXT NOT NULL,              -- the set, as JSON
  name      TEXT NOT NULL,              -- the label alertname
  task      TEXT NOT NULL,              -- the task's name when the alert first came
  is_firing BIGINT NOT NULL,
  ends_at   BIGINT NOT NULL,            -- over then, unless it is sent again
  seen_at   BIGINT NOT NULL,            -- when it was last counted
  text      TEXT NOT NULL,              -- hash of what it says
  UNIQUE (device_id, labels)
);
CREATE INDEX alerts_due ON alerts (ends_at) WHERE is_firing = 1;
CREATE INDEX alerts_of_name ON alerts (device_id, name);
CREATE INDEX alerts_over ON alerts (ends_at) WHERE is_firing = 0;
