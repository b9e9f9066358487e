-- lease: whether an executor may be given tasks by others than itself.

-- The id of an executor is "worker:number:random".
local function worker_of(executor)
  return string.match(executor, "^[^:]*")
end

-- Whether the executor's worker has announced it and is believed to be alive.
local function has_lease(executor)
  local worker = worker_of(executor)
  local lease = redis.call("ZSCORE", leases_of("workers"), worker)
  return lease and tonumber(lease) > now and redis.call("SISMEMBER", executors_of(worker), executor) == 1
end
