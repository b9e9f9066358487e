-- decision: keep one more decision of an autoscaler.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the decision, JSON
-- ARGV[2] how many to keep
--
-- Returns nothing.

redis.call("LPUSH", DECISIONS, ARGV[1])
redis.call("LTRIM", DECISIONS, 0, ARGV[2] - 1)
