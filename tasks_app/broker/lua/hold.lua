-- hold: become or stay the holder of a named lease, or give it up.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the lease's name
-- ARGV[2] who asks
-- ARGV[3] for how long to hold it from now on, ms; 0 to give it up
--
-- Returns 1 if the asker holds it now, else 0.

local lease = base .. "hold:" .. ARGV[1]
local holder = redis.call("GET", lease)
if holder and holder ~= ARGV[2] then return 0 end
if ARGV[3] == "0" then
  redis.call("DEL", lease)
  return 0
end
redis.call("SET", lease, ARGV[2], "PX", ARGV[3])
return 1
