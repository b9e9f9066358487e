-- queues: how much waits in some queues, and whether the promoter will look at them in time.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] how long ago a task must have been due to be overdue, ms
-- ARGV[2...] queues
--
-- Returns {server's time in ms, queues}; each queue is {tasks ready, tasks scheduled, first id and moment in
-- scheduled, first id and moment in expiring, moment in due, how many are overdue}; "" where there is none.

local function head(set)
  local first = redis.call("ZRANGE", set, 0, 0, "WITHSCORES")
  return first[1] or "", first[2] or ""
end

local found, overdue_ms = {}, tonumber(ARGV[1])
for i = 2, #ARGV do
  local queue = ARGV[i]
  local scheduled, expiring = scheduled_of(queue), expiring_of(queue)
  local due_id, due_at = head(scheduled)
  local end_id, end_at = head(expiring)
  local overdue = redis.call("ZCOUNT", scheduled, "-inf", now - overdue_ms)
    + redis.call("ZCOUNT", expiring, "-inf", now - overdue_ms)
  found[#found + 1] = {
    redis.call("ZCARD", ready_of(queue)), redis.call("ZCARD", scheduled), due_id, due_at, end_id, end_at,
    redis.call("ZSCORE", DUE, queue) or "", overdue,
  }
end
return { now, found }
