-- Sessions in MySQL 8.0 or MariaDB 10.6, or newer. Times are milliseconds since the Unix epoch, by the database's own
-- clock.
CREATE TABLE IF NOT EXISTS sessions (
    -- names the session for as long as it lives, whatever its key is
    number       BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- SHA-256 of the session's id, in hexadecimal: nobody can make an id of it
    `key`        CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    version      BIGINT NOT NULL,
    -- SHA-256 of the subject that the record names: SHA2('ada', 256)
    subject_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    -- from this moment on the session is absent, swept or not
    expires_at   BIGINT NOT NULL,
    -- how long it lives after a request, and in all, in milliseconds, as the record says too
    idle         BIGINT NOT NULL,
    lifetime     BIGINT NOT NULL,
    -- the record as JSON: JSON_VALUE(record, '$.subject') is who is logged in. It is text because MySQL's JSON would write numbers
    -- anew; what comes back has to be what was stored
    record       LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    UNIQUE KEY sessions_by_key (`key`),
    KEY sessions_by_deadline (expires_at),
    KEY sessions_by_subject (subject_hash, created_at)
) ENGINE = InnoDB;

-- Which session a former key belonged to, so that a logout that knows that key ends it all the same.
CREATE TABLE IF NOT EXISTS session_renames (
    former  CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    session BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    KEY session_renames_by_deadline (until)
) ENGINE = InnoDB;

-- Keys of sessions that no record is kept of, and that have ended.
CREATE TABLE IF NOT EXISTS session_revocations (
    `key` CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    until BIGINT NOT NULL,
    KEY session_revocations_by_deadline (until)
) ENGINE = InnoDB;

-- Subjects all of whose sessions made at a moment or before have ended.
CREATE TABLE IF NOT EXISTS session_subject_revocations (
    subject_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    made         BIGINT NOT NULL,
    until        BIGINT NOT NULL,
    KEY session_subject_revocations_by_deadline (until)
) ENGINE = InnoDB;

-- 256 rows to lock, so that logins of one subject take turns where it may have so many sessions only.
CREATE TABLE IF NOT EXISTS session_locks (
    number SMALLINT NOT NULL PRIMARY KEY,
    uses   BIGINT NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO session_locks (number, uses)
WITH RECURSIVE numbers (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number < 255)
SELECT number, 0 FROM numbers;
