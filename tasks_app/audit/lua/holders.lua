-- holders: who answers for some executors.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] how many ids of what each holds to name
-- ARGV[2...] two for each: executor, its worker
--
-- Returns {server's time in ms, executors}; each is {tasks held, some of their ids, whether the worker is
-- registered, whether it announced the executor, end of its lease in ms or ""}.

local found = {}
for i = 2, #ARGV, 2 do
  local executor, worker = ARGV[i], ARGV[i + 1]
  local held = redis.call("HLEN", held_by(executor))
  local some = held > 0 and redis.call("HRANDFIELD", held_by(executor), ARGV[1]) or {}
  found[#found + 1] = {
    held, some, redis.call("HEXISTS", base .. "workers", worker),
    redis.call("SISMEMBER", executors_of(worker), executor),
    redis.call("ZSCORE", leases_of("workers"), worker) or "",
  }
end
return { now, found }
