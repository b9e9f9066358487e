-- reset: count from zero.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- Returns nothing; from when on is counted stands in reset_at (ms).

redis.call("DEL", COUNTERS)
redis.call("SET", base .. "reset_at", now)
