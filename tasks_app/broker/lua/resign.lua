-- resign: take a worker or an agent off the registers.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader that takes it off; 0 for none
-- ARGV[2] "workers" or "agents"
-- ARGV[3] its id
--
-- Returns 1; or 0, with nothing changed, if an executor of the worker still holds tasks.

if is_over(ARGV[1]) then return LOST_LEAD end

local kind, id = ARGV[2], ARGV[3]
local executors = kind == "workers" and redis.call("SMEMBERS", executors_of(id)) or {}
for _, executor in ipairs(executors) do
  if redis.call("EXISTS", held_by(executor)) == 1 then return 0 end
end
for _, executor in ipairs(executors) do
  redis.call("HDEL", OFFERS, executor)
  redis.call("HDEL", TAKERS, executor)
end
if kind == "workers" then redis.call("DEL", executors_of(id)) end
redis.call("ZREM", leases_of(kind), id)
redis.call("HDEL", base .. kind, id)
redis.call("DEL", orders_for(kind, id), bell_of(kind, id))
return 1
