-- Sessions in SQLite 3.42 or newer. Times are milliseconds since the Unix epoch, by the database's own clock.
-- In a new file, write PRAGMA auto_vacuum = INCREMENTAL before the first table, so that sweeps can give back what the file
-- has too much of; migrate() does.
CREATE TABLE IF NOT EXISTS sessions (
    -- names the session for as long as it lives, whatever its key is; AUTOINCREMENT, so that no later session gets it
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of the session's id, in hexadecimal: nobody can make an id of it
    key          TEXT    NOT NULL UNIQUE,
    version      INTEGER NOT NULL,
    -- SHA-256 of the subject that the record names, in hexadecimal
    subject_hash TEXT,
    created_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    -- from this moment on the session is absent, swept or not
    expires_at   INTEGER NOT NULL,
    -- how long it lives after a request, and in all, in milliseconds, as the record says too
    idle         INTEGER NOT NULL,
    lifetime     INTEGER NOT NULL,
    -- the record as JSON: record ->> 'subject' is who is logged in
    record       TEXT    NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS sessions_by_deadline ON sessions (expires_at);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (subject_hash, created_at) WHERE subject_hash IS NOT NULL;

-- Which session a former key belonged to, so that a logout that knows that key ends it all the same.
CREATE TABLE IF NOT EXISTS session_renames (
    former  TEXT    NOT NULL PRIMARY KEY,
    session INTEGER NOT NULL,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS session_renames_by_deadline ON session_renames (until);

CREATE TRIGGER IF NOT EXISTS session_renamed AFTER UPDATE OF key ON sessions WHEN old.key <> new.key
BEGIN
    INSERT OR REPLACE INTO session_renames (former, session, until)
    VALUES (old.key, new.number, max(old.expires_at, new.expires_at));
END;

-- Keys of sessions that no record is kept of, and that have ended.
CREATE TABLE IF NOT EXISTS session_revocations (
    key   TEXT    NOT NULL PRIMARY KEY,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS session_revocations_by_deadline ON session_revocations (until);

-- Subjects all of whose sessions made at a moment or before have ended.
CREATE TABLE IF NOT EXISTS session_subject_revocations (
    subject_hash TEXT    NOT NULL PRIMARY KEY,
    made         INTEGER NOT NULL,
    until        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS session_subject_revocations_by_deadline ON session_subject_revocations (until);
