-- sample: keep one more sample of the metrics.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the sample, JSON
-- ARGV[2] how many samples to keep
--
-- Returns how many are kept.

local samples = base .. "samples"
redis.call("RPUSH", samples, ARGV[1])
redis.call("LTRIM", samples, -tonumber(ARGV[2]), -1)
return redis.call("LLEN", samples)
