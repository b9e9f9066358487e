-- purge: put everything that waits in a queue aside, in constant time; sweep then cancels it in slices.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] queue
-- ARGV[2] a random word
--
-- Returns how many tasks were put aside.

local tasks = 0

local function put_aside(set, size, kind)
  if size == 0 then return end
  local name = base .. "aside:" .. ARGV[2] .. ":" .. kind
  redis.call("RENAME", set, name)
  redis.call("RPUSH", ASIDE, name)
  tasks = tasks + size
end

local ready, scheduled, waiting = ready_of(ARGV[1]), scheduled_of(ARGV[1]), waiting_of(ARGV[1])
put_aside(ready, redis.call("ZCARD", ready), "1")
put_aside(scheduled, redis.call("ZCARD", scheduled), "2")
put_aside(waiting, redis.call("SCARD", waiting), "waiting")
return tasks
