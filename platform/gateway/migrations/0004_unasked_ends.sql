-- Ends that somebody else than the allocation's own node may have sent.

-- The index at which a client ended it, while its node has not been asked yet whether it sent that.
ALTER TABLE allocations ADD COLUMN unasked_end BIGINT;
CREATE INDEX allocations_with_unasked_end ON allocations (allocation) WHERE unasked_end IS NOT NULL;
