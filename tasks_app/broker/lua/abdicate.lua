-- abdicate: stop leading.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] who asks
--
-- Returns 1 if it led.

if redis.call("GET", base .. "leader") ~= ARGV[1] then return 0 end
return redis.call("DEL", base .. "leader")
