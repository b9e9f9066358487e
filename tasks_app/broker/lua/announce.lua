-- announce: renew a worker's or an agent's lease, with what it says of itself, and fetch its orders.
--
-- include: keys clock orders
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
-- ARGV[2] its id
-- ARGV[3] what it says of itself, JSON
-- ARGV[4] for how long its silence is believed from now on, ms
-- ARGV[5] how many orders its last answer brought
-- ARGV[6] SHA-1 of the last one of them, hexadecimal; "" for none
-- ARGV[7] how many queues follow, N
-- ARGV[8...7+N] queues that it wants to know of
-- ARGV[8+N...] the executors of the worker
--
-- Returns {server's time in ms, orders, backlogs, demands}: its orders, oldest first, JSON, the same ones until
-- a call says that they have arrived; and of each queue how many tasks could be claimed now, and what the
-- leader tells of it (JSON or nil).

local kind, id, queue_count = ARGV[1], ARGV[2], tonumber(ARGV[7])
redis.call("ZADD", leases_of(kind), now + tonumber(ARGV[4]), id)
redis.call("HSET", base .. kind, id, ARGV[3])
if #ARGV > 7 + queue_count then
  redis.call("SADD", executors_of(id), unpack(ARGV, 8 + queue_count))
end

local backlogs, demands = {}, {}
for i = 8, 7 + queue_count do
  local is_paused = redis.call("SISMEMBER", PAUSED, ARGV[i]) == 1
  backlogs[#backlogs + 1] = is_paused and 0 or redis.call("ZCARD", ready_of(ARGV[i]))
  demands[#demands + 1] = redis.call("HGET", DEMAND, ARGV[i])
end
return { now, orders_after(kind, id, tonumber(ARGV[5]), ARGV[6]), backlogs, demands }
