-- stats: how much waits where, and what was counted since the last reset.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...20] two for each level from 1 to 10: lowest and highest rank of its tasks
--
-- Returns {server's time in ms, counters as name, value, ..., unrecorded changes, queues}; each queue is
-- {name, 1 if paused, tasks scheduled or retrying, tasks that wait for a limit, tasks ready at level 1, ..., at
-- level 10}.

local queues = {}
for _, queue in ipairs(redis.call("SMEMBERS", QUEUES)) do
  local line = { queue, redis.call("SISMEMBER", PAUSED, queue), redis.call("ZCARD", scheduled_of(queue)),
    redis.call("SCARD", waiting_of(queue)) }
  local ready = ready_of(queue)
  local any = redis.call("ZCARD", ready) > 0
  for level = 1, 10 do
    line[#line + 1] = any and redis.call("ZCOUNT", ready, ARGV[level * 2 - 1], ARGV[level * 2]) or 0
  end
  queues[#queues + 1] = line
end
return { now, redis.call("HGETALL", COUNTERS), redis.call("XLEN", CHANGES), queues }
