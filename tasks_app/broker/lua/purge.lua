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
for _, set in ipairs({ ready_of(ARGV[1]), scheduled_of(ARGV[1]) }) do
  local size = redis.call("ZCARD", set)
  if size > 0 then
    local name = base .. "aside:" .. ARGV[2] .. ":" .. tasks
    redis.call("RENAME", set, name)
    redis.call("RPUSH", ASIDE, name)
    tasks = tasks + size
  end
end
return tasks
