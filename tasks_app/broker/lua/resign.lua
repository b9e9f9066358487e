-- resign: take a worker or an agent off the registers.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
-- ARGV[2] its id
--
-- Returns 1; or 0, with nothing changed, if an executor of the worker still holds tasks.

local kind, id = ARGV[1], ARGV[2]
if kind == "workers" then
  for _, executor in ipairs(redis.call("SMEMBERS", executors_of(id))) do
    if redis.call("EXISTS", held_by(executor)) == 1 then return 0 end
    redis.call("HDEL", OFFERS, executor)
  end
  redis.call("DEL", executors_of(id))
end
redis.call("ZREM", leases_of(kind), id)
redis.call("HDEL", base .. kind, id)
redis.call("DEL", orders_for(kind, id))
return 1
