-- sample: keep one more sample of the metrics.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] the sample, JSON
-- ARGV[3] how many samples to keep
--
-- Returns how many are kept.

if is_over(ARGV[1]) then return LOST_LEAD end

local samples = base .. "samples"
redis.call("RPUSH", samples, ARGV[2])
redis.call("LTRIM", samples, -tonumber(ARGV[3]), -1)
return redis.call("LLEN", samples)
