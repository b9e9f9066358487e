-- announce: renew a worker's or an agent's lease, with what it says of itself, and fetch its orders.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
-- ARGV[2] its id
-- ARGV[3] what it says of itself, JSON
-- ARGV[4] for how long its silence is believed from now on, ms
-- ARGV[5...] the executors of the worker
--
-- Returns its orders, oldest first, JSON; they are handed out once.

local kind, id = ARGV[1], ARGV[2]
local leases = leases_of(kind)
redis.call("ZADD", leases, now + tonumber(ARGV[4]), id)
redis.call("HSET", base .. kind, id, ARGV[3])
for i = 5, #ARGV do
  redis.call("SADD", executors_of(id), ARGV[i])
end
return redis.call("LPOP", orders_for(kind, id), 100) or {}
