-- Sessions in PostgreSQL 12 or newer. Times are milliseconds since the Unix epoch, by the database's own clock.
-- Keys and hashes are compared byte for byte (COLLATE "C"): no change of a locale can harm their indexes.
CREATE TABLE IF NOT EXISTS sessions (
    -- names the session for as long as it lives, whatever its key is
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of the session's id, in hexadecimal: nobody can make an id of it
    key          text COLLATE "C" NOT NULL UNIQUE,
    version      bigint NOT NULL,
    -- SHA-256 of the subject that the record names: encode(sha256('ada'), 'hex')
    subject_hash text COLLATE "C",
    created_at   bigint NOT NULL,
    seen_at      bigint NOT NULL,
    -- from this moment on the session is absent, swept or not
    expires_at   bigint NOT NULL,
    -- how long it lives after a request, and in all, in milliseconds, as the record says too
    idle         bigint NOT NULL,
    lifetime     bigint NOT NULL,
    -- the record as JSON: record::json ->> 'subject' is who is logged in. It is text because jsonb would write numbers
    -- anew and refuses some strings; what comes back has to be what was stored
    record       text NOT NULL
);

CREATE INDEX IF NOT EXISTS sessions_by_deadline ON sessions (expires_at);
CREATE INDEX IF NOT EXISTS sessions_by_subject ON sessions (subject_hash, created_at) WHERE subject_hash IS NOT NULL;

-- Which session a former key belonged to, so that a logout that knows that key ends it all the same.
CREATE TABLE IF NOT EXISTS session_renames (
    former  text COLLATE "C" NOT NULL PRIMARY KEY,
    session bigint NOT NULL,
    until   bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS session_renames_by_deadline ON session_renames (until);

-- Keys of sessions that no record is kept of, and that have ended.
CREATE TABLE IF NOT EXISTS session_revocations (
    key   text COLLATE "C" NOT NULL PRIMARY KEY,
    until bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS session_revocations_by_deadline ON session_revocations (until);

-- Subjects all of whose sessions made at a moment or before have ended.
CREATE TABLE IF NOT EXISTS session_subject_revocations (
    subject_hash text COLLATE "C" NOT NULL PRIMARY KEY,
    made         bigint NOT NULL,
    until        bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS session_subject_revocations_by_deadline ON session_subject_revocations (until);
