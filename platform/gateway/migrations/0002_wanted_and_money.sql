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

-- Its tags under `ionet.` as the servers hold them: a JSON object of strings.
ALTER TABLE nodes ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
-- When the servers recorded its registration, if it was ever ready.
ALTER TABLE nodes ADD COLUMN registered_s BIGINT;
UPDATE nodes SET registered_s = status_updated_s WHERE status = 'ready';
-- When a newer node of the same device took its place. From then on it gets no work and earns nothing.
ALTER TABLE nodes ADD COLUMN superseded_s BIGINT;

-- Times in which a node did not serve, by the servers' clock; without an end while it lasts.
CREATE TABLE node_gaps (
    node   TEXT   NOT NULL REFERENCES nodes (node),
    from_s BIGINT NOT NULL,
    to_s   BIGINT,
    PRIMARY KEY (node, from_s)
);

-- What the servers' record said at each change: JSON, {modify index: {at_ns, status, told}}. What was paid from its
-- placement so far stays so.
ALTER TABLE allocations ADD COLUMN marks TEXT NOT NULL DEFAULT '{}';
UPDATE allocations SET marks = '{"0":{"at_ns":' || created_ns || ',"status":"' ||
    CASE WHEN ran = 1 THEN 'running' ELSE 'pending' END || '","told":true}' ||
    CASE WHEN ended_ns IS NULL THEN '}' ELSE ',"1":{"at_ns":' || ended_ns || ',"status":"' || status || '","told":true}}' END;
-- `ran` says from now on that a task of it is known to have started; `lead_ns` how long after it got the allocation, by
-- its client's own measure.
ALTER TABLE allocations ADD COLUMN lead_ns BIGINT;
-- Its own node contradicts its end, or did not send it: a person has to look.
ALTER TABLE allocations ADD COLUMN disputed BIGINT NOT NULL DEFAULT 0;
-- The GPU that it was priced as. `priced`: 0 not yet (the default price meanwhile), 1 for good, 2 for good at the default
-- price though its job demands a GPU: a person has to look.
ALTER TABLE allocations ADD COLUMN gpu TEXT;
ALTER TABLE allocations ADD COLUMN priced BIGINT NOT NULL DEFAULT 1;
-- Since when and in how many of the region's lists in a row it has been missing. It earns nothing beyond `confirmed_ns`
-- meanwhile.
ALTER TABLE allocations ADD COLUMN missing_since_ns BIGINT;
ALTER TABLE allocations ADD COLUMN missing_lists BIGINT NOT NULL DEFAULT 0;

-- When the region was last heard, by the gateway's clock.
ALTER TABLE streams ADD COLUMN heard_ms BIGINT NOT NULL DEFAULT 0;
