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
-- ARGV[5] how many queues follow, N
-- ARGV[6...5+N] queues that it wants to know of
-- ARGV[6+N...] the executors of the worker
--
-- Returns {server's time in ms, orders, backlogs, demands}: its orders, oldest first, JSON, handed out once;
-- and of each queue how many tasks could be claimed now, and what the leader tells of it (JSON or nil).

local kind, id, queue_count = ARGV[1], ARGV[2], tonumber(ARGV[5])
redis.call("ZADD", leases_of(kind), now + tonumber(ARGV[4]), id)
redis.call("HSET", base .. kind, id, ARGV[3])
for i = 6 + queue_count, #ARGV do
  redis.call("SADD", executors_of(id), ARGV[i])
end

local backlogs, demands = {}, {}
for i = 6, 5 + queue_count do
  local is_paused = redis.call("SISMEMBER", PAUSED, ARGV[i]) == 1
  backlogs[#backlogs + 1] = is_paused and 0 or redis.call("ZCARD", ready_of(ARGV[i]))
  demands[#demands + 1] = redis.call("HGET", DEMAND, ARGV[i])
end
return { now, redis.call("LPOP", orders_for(kind, id), 100) or {}, backlogs, demands }
