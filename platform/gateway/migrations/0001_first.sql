-- Times: *_ms are milliseconds, *_ns nanoseconds, *_s seconds since the Unix epoch. Flags are 0 or 1.
-- Written so that PostgreSQL takes it as it stands.

CREATE TABLE accounts (
    account       TEXT   NOT NULL PRIMARY KEY,
    issuer        TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    created_at_ms BIGINT NOT NULL,
    UNIQUE (issuer, subject)
);

CREATE TABLE devices (
    device         TEXT   NOT NULL PRIMARY KEY,
    account        TEXT   NOT NULL REFERENCES accounts (account),
    label          TEXT   NOT NULL,
    agreement      BIGINT NOT NULL,
    -- SubjectPublicKeyInfo, DER, lower-case hex: one key is one device.
    public_key     TEXT   NOT NULL UNIQUE,
    enrolled_at_ms BIGINT NOT NULL,
    lost_at_ms     BIGINT
);
CREATE INDEX devices_by_account ON devices (account);

CREATE TABLE certificates (
    serial        TEXT   NOT NULL PRIMARY KEY,
    device        TEXT   NOT NULL REFERENCES devices (device),
    issued_at_ms  BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL
);
CREATE INDEX certificates_by_device ON certificates (device, expires_at_ms);

CREATE TABLE enrolment_tokens (
    -- SHA-256 of the token, lower-case hex. The token itself is nowhere.
    token_hash    TEXT   NOT NULL PRIMARY KEY,
    account       TEXT   NOT NULL REFERENCES accounts (account),
    issued_at_ms  BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    used_at_ms    BIGINT,
    used_for      TEXT
);

CREATE TABLE nodes (
    node             TEXT   NOT NULL PRIMARY KEY,
    -- Whoever it registered for first. A node never changes hands.
    device           TEXT   NOT NULL REFERENCES devices (device),
    status           TEXT   NOT NULL,
    eligible         BIGINT NOT NULL,
    -- 0 once the region no longer lists it.
    present          BIGINT NOT NULL,
    create_index     BIGINT NOT NULL,
    modify_index     BIGINT NOT NULL,
    status_updated_s BIGINT NOT NULL,
    -- When it was drained because its device was lost.
    held_at_ms       BIGINT
);
CREATE INDEX nodes_by_device ON nodes (device);

CREATE TABLE allocations (
    allocation           TEXT   NOT NULL PRIMARY KEY,
    node                 TEXT   NOT NULL REFERENCES nodes (node),
    device               TEXT   NOT NULL REFERENCES devices (device),
    job                  TEXT   NOT NULL,
    status               TEXT   NOT NULL,
    modify_index         BIGINT NOT NULL,
    created_ns           BIGINT NOT NULL,
    ran                  BIGINT NOT NULL,
    stop_desired_ns      BIGINT,
    ended_ns             BIGINT,
    -- The gateway's clock when the region last listed it as live.
    confirmed_ns         BIGINT NOT NULL,
    rate_micros_per_hour BIGINT NOT NULL
);
CREATE INDEX allocations_by_device ON allocations (device, ended_ns);
CREATE INDEX allocations_by_end ON allocations (ended_ns);

CREATE TABLE streams (
    region      TEXT   NOT NULL PRIMARY KEY,
    event_index BIGINT NOT NULL
);
