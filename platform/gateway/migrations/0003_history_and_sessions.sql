-- Questions about the past, answered by account, and the end of an account's sessions.

-- When the account last lost a PC: sessions that began before are worth nothing. None: never.
ALTER TABLE accounts ADD COLUMN sessions_ended_ms BIGINT;

-- Who is paid for it, whatever becomes of the device.
ALTER TABLE allocations ADD COLUMN account TEXT NOT NULL DEFAULT '';
UPDATE allocations SET account =
    (SELECT devices.account FROM devices WHERE devices.device = allocations.device);

CREATE INDEX allocations_by_placement ON allocations (device, created_ns, allocation);
CREATE INDEX allocations_of_account ON allocations (account, created_ns, allocation);

-- Which of a device's certificates are its newest.
ALTER TABLE certificates ADD COLUMN recorded_ns BIGINT NOT NULL DEFAULT 0;
CREATE INDEX certificates_by_expiry ON certificates (expires_at_ms);
CREATE INDEX enrolment_tokens_by_expiry ON enrolment_tokens (expires_at_ms);
