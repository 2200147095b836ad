-- Whose device it is as a person reads it, what a PC wants of its nodes, and the end of a device by its owner's own deed.

-- What a person recognises (an e-mail address or a name), by the last sign-in that carried it.
ALTER TABLE accounts ADD COLUMN shown TEXT;

-- When the PC left its account of its own accord.
ALTER TABLE devices ADD COLUMN retired_at_ms BIGINT;

-- The wanted state of the highest sequence number, one a device.
CREATE TABLE wanted (
    device    TEXT   NOT NULL PRIMARY KEY REFERENCES devices (device),
    seq       BIGINT NOT NULL,
    eligible  BIGINT NOT NULL,
    -- UUIDs of the GPUs that their owner needs now: sorted, one a line.
    holds     TEXT   NOT NULL,
    set_at_ms BIGINT NOT NULL
);
