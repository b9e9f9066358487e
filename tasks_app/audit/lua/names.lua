-- names: what some keys are.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] names of keys, without the anchor
--
-- Returns {type, time to live in ms, length} of each; the type is "none" if there is no such key (any more),
-- the time -1 if it has no end, the length that of a list and 0 of anything else.

local found = {}
for i = 1, #ARGV do
  local key = base .. ARGV[i]
  local kind = redis.call("TYPE", key).ok
  found[i] = { kind, redis.call("PTTL", key), kind == "list" and redis.call("LLEN", key) or 0 }
end
return found
