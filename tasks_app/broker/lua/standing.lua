-- standing: where a task stands in its queue, and how that queue is, at one moment.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] id
-- ARGV[2] its queue
--
-- Returns {server's time in ms, 1 if Redis knows the task, 1 if the queue is paused, how many tasks go first or
-- nil if it is not ready, when it is due (ms) or nil if it is not scheduled, what the leader tells of the queue
-- (JSON or nil), unrecorded changes, run id of the server that a leader has found sound or nil}.

local id, queue = ARGV[1], ARGV[2]
return {
  now,
  redis.call("HEXISTS", PAYLOADS, id),
  redis.call("SISMEMBER", PAUSED, queue),
  redis.call("ZRANK", ready_of(queue), id),
  redis.call("ZSCORE", scheduled_of(queue), id),
  redis.call("HGET", DEMAND, queue),
  redis.call("XLEN", CHANGES),
  redis.call("GET", GATE),
}
