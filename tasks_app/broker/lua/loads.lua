-- loads: how much some executors hold.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] executors
--
-- Returns the number of tasks of each, in their order.

local loads = {}
for n, executor in ipairs(ARGV) do
  loads[n] = redis.call("HLEN", held_by(executor))
end
return loads
