-- confirm: tell which of some tasks are here, and write a mark. What has written that to its disk, or
-- to a replica, has written these tasks too.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] ids
--
-- Returns those that are here.

local here = {}
for _, id in ipairs(ARGV) do
  if redis.call("HEXISTS", PAYLOADS, id) == 1 then here[#here + 1] = id end
end
redis.call("SET", CONFIRMED, "1", "PX", 1000)
return here
