-- pause: let a queue give nothing out, or let it give again.
--
-- include: keys clock tasks marks unique limits writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] queue
-- ARGV[2] 1 to pause it, 0 to resume it
--
-- Returns 1 if that changed anything.

local changed
if ARGV[2] == "1" then
  changed = redis.call("SADD", PAUSED, ARGV[1])
  redis.call("SADD", QUEUES, ARGV[1])
else
  changed = redis.call("SREM", PAUSED, ARGV[1])
  wake(ARGV[1], redis.call("ZCARD", ready_of(ARGV[1])))
  write_all()
end
return changed
