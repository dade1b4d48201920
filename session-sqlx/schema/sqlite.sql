-- Sessions in SQLite 3.42 or newer. Times are milliseconds since the Unix epoch, by the database's own clock.
CREATE TABLE IF NOT EXISTS sessions (
    -- SHA-256 of the session's id, in hexadecimal: nobody can make a cookie of it
    key        TEXT    NOT NULL PRIMARY KEY,
    version    INTEGER NOT NULL,
    -- who is logged in, as the record says too
    subject    TEXT,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    -- from this moment on the session is absent, swept or not
    expires_at INTEGER NOT NULL,
    -- how long it lives after a request, and in all, in milliseconds, as the record says too
    idle       INTEGER NOT NULL,
    lifetime   INTEGER NOT NULL,
    -- the record as JSON
    record     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sessions_by_deadline ON sessions (expires_at);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (subject) WHERE subject IS NOT NULL;

-- Where renewed sessions went, so that a logout that knows the former key ends them all the same.
CREATE TABLE IF NOT EXISTS session_renames (
    former TEXT    NOT NULL PRIMARY KEY,
    key    TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS session_renames_by_deadline ON session_renames (until);

CREATE TRIGGER IF NOT EXISTS session_renamed AFTER UPDATE OF key ON sessions WHEN old.key <> new.key
BEGIN
    INSERT OR REPLACE INTO session_renames (former, key, until) VALUES (old.key, new.key, new.expires_at);
END;
