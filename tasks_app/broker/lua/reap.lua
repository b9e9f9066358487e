-- reap: take the tasks of a dead executor, or of a worker whose lease is over, back into the queue.
--
-- include: keys clock tasks writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] worker
-- ARGV[2] its dead executor; "" for all of them, which needs the worker's lease to be over
-- ARGV[3] the crash after which a task is poison
-- ARGV[4] pause before the re-run after a second crash, ms
-- ARGV[5] line for the attempts of each task that is charged with a crash
-- ARGV[6] most tasks to take back
-- ARGV[7] how many queues follow, N
-- ARGV[8...7+N] the queues that the dead executor may be idle on
-- ARGV[8+N...] ids of tasks that are known to have started, beyond those that are processing
--
-- Returns {tasks taken back, 1 if nothing is left to take back}. {0, 1} if the worker has a lease.

local worker, dead = ARGV[1], ARGV[2]
local most_crashes, pause_ms, line = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local limit, queue_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local started = {}
for i = 8 + queue_count, #ARGV do
  started[ARGV[i]] = true
end

local executors = { dead }
if dead == "" then
  -- The guard against a reaper that acts on what it saw a while ago.
  local lease = redis.call("ZSCORE", leases_of("workers"), worker)
  if lease and tonumber(lease) > now then return { 0, 1 } end
  executors = redis.call("SMEMBERS", executors_of(worker))
end

-- Charge a started task with the crash. Returns the moment it may run again, or nothing if it is poison.
local function crash(state)
  if state.status == "assigned" then state.starts = state.starts + 1 end
  state.crashes = state.crashes + 1
  append_to_run(state, line, state.starts)
  count("crashed")
  if state.crashes >= most_crashes then
    move(state, "failed")
    count("failed")
    return nil
  end
  if state.crashes == 1 then
    move(state, "pending")
    return now
  end
  move(state, "retrying")
  return now + pause_ms
end

local taken = 0
local emptied = {}
for _, executor in ipairs(executors) do
  local ids = {}
  for _, id in ipairs(redis.call("HKEYS", held_by(executor))) do
    if taken == limit then break end
    taken = taken + 1
    ids[#ids + 1] = id
  end
  local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
  for n, id in ipairs(ids) do
    local state = read_state(states[n])
    if started[id] or state.status == "processing" then
      local at = crash(state)
      keep(id, state)
      if at then place(id, definitions[n], at) end
    elseif move(state, "pending") then
      keep(id, state)
      place(id, definitions[n], now)
    end
  end
  if #ids > 0 then redis.call("HDEL", held_by(executor), unpack(ids)) end
  if redis.call("EXISTS", held_by(executor)) == 0 then emptied[#emptied + 1] = executor end
end

for _, executor in ipairs(emptied) do
  for i = 8, 7 + queue_count do
    redis.call("ZREM", idle_of(ARGV[i]), executor)
  end
  redis.call("SREM", executors_of(worker), executor)
  redis.call("HDEL", OFFERS, executor)
  redis.call("DEL", wake_of(executor))
end
write_all()

local all = #emptied == #executors
if all and dead == "" then redis.call("ZREM", leases_of("workers"), worker) end
return { taken, all and 1 or 0 }
