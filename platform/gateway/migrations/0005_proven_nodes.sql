-- Whose a node is for certain.

-- 1: its first registration was seen, in which the servers hold its name to an introduction of its device. 0: it was seen
-- later, and it may have taken another name since.
ALTER TABLE nodes ADD COLUMN proven BIGINT NOT NULL DEFAULT 1;
