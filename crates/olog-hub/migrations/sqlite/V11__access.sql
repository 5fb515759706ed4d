-- Who may see and do what over HTTP, and the log of every change. Secrets are stored as hashes only; a password as argon2id.

CREATE TABLE users (
  id           INTEGER PRIMARY KEY,
  name         TEXT NOT NULL UNIQUE,
  scope        TEXT NOT NULL,              -- 'read', 'act' or 'admin'
  password     TEXT NOT NULL,              -- argon2id, as a PHC string
  totp         TEXT,                       -- the second factor's secret, base 32; NULL: there is none
  totp_pending TEXT,                       -- one that was shown and not yet confirmed
  totp_step    BIGINT NOT NULL DEFAULT 0,  -- the last step by which a code was accepted: it and earlier ones are refused
  made_at      BIGINT NOT NULL,
  signed_in_at BIGINT
);

CREATE TABLE recovery_codes (
  user_id BIGINT NOT NULL,
  hash    TEXT NOT NULL,
  PRIMARY KEY (user_id, hash)
) WITHOUT ROWID;

CREATE TABLE web_sessions (
  hash     TEXT PRIMARY KEY,               -- of the cookie
  user_id  BIGINT NOT NULL,
  is_full  BIGINT NOT NULL,                -- 0: the second factor is missing
  n_failed BIGINT NOT NULL DEFAULT 0,      -- wrong codes
  made_at  BIGINT NOT NULL,
  seen_at  BIGINT NOT NULL,
  address  TEXT NOT NULL,
  agent    TEXT NOT NULL                   -- the browser's own name
) WITHOUT ROWID;
CREATE INDEX web_sessions_user ON web_sessions (user_id);

-- Browsers by which a user has signed in before: guessing by others does not slow them down.
CREATE TABLE known_browsers (
  hash       TEXT PRIMARY KEY,
  user_id    BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  hash       TEXT NOT NULL UNIQUE,
  scope      TEXT NOT NULL,
  made_by    TEXT NOT NULL,
  made_at    BIGINT NOT NULL,
  expires_at BIGINT,                       -- NULL: never
  used_at    BIGINT
);

CREATE TABLE audit (
  id      INTEGER PRIMARY KEY,
  at      BIGINT NOT NULL,
  last_at BIGINT NOT NULL,                 -- of the last one, where several were merged
  n       BIGINT NOT NULL DEFAULT 1,
  actor   TEXT NOT NULL,                   -- who
  action  TEXT NOT NULL,                   -- what
  subject TEXT NOT NULL,                   -- of whom or what
  detail  TEXT NOT NULL,
  origin  TEXT NOT NULL,                   -- from where
  outcome TEXT NOT NULL,                   -- 'done', 'refused', or 'begun' while it is not known
  merged  TEXT UNIQUE                      -- entries of the same text here are one
);
CREATE INDEX audit_at ON audit (at);
