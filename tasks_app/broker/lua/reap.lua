-- reap: take the tasks of a dead executor, or of a worker whose lease is over, back into the queue.
--
-- include: keys clock tasks marks unique limits writes term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] worker
-- ARGV[3] its dead executor; "" for all of them, which needs the worker's lease to be over
-- ARGV[4] the crash after which a task is poison
-- ARGV[5] pause before the re-run after a second crash, ms
-- ARGV[6] line for the attempts of each task that is charged with a crash
-- ARGV[7] line for those of each task of a lost worker that may have started, though nobody knows
-- ARGV[8] most tasks to take back
-- ARGV[9] how many queues follow, N
-- ARGV[10...9+N] the queues that the dead executor may be idle on
-- ARGV[10+N...] ids of tasks that are known to have started, beyond those that are processing
--
-- Returns {tasks taken back, 1 if nothing is left to take back}. {0, 1} if the worker has a lease.

if is_over(ARGV[1]) then return LOST_LEAD end

local worker, dead = ARGV[2], ARGV[3]
local most_crashes, pause_ms, line, doubt = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local limit, queue_count = tonumber(ARGV[8]), tonumber(ARGV[9])
local started = {}
for i = 10 + queue_count, #ARGV do
  started[ARGV[i]] = true
end

local executors = { dead }
if dead == "" then
  -- The guard against a reaper that acts on what it saw a while ago.
  local lease = redis.call("ZSCORE", leases_of("workers"), worker)
  if lease and tonumber(lease) > now then return { 0, 1 } end
  executors = redis.call("SMEMBERS", executors_of(worker))
end

-- The last line of a task that is given up says so first.
local poison = string.gsub(line, '"error":"', '"error":"Poison: it crashed too often. ', 1)

-- Charge a started task with the crash. Returns the moment it may run again, or nothing if it is poison.
local function crash(state)
  if state.status == "assigned" then state.starts = state.starts + 1 end
  state.crashes = state.crashes + 1
  local is_poison = state.crashes >= most_crashes
  append_to_run(state, is_poison and poison or line, state.starts)
  count("crashed")
  if is_poison then
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
  local held = redis.call("HKEYS", held_by(executor))
  local ids = fitting({ unpack(held, 1, math.min(#held, limit - taken)) })
  taken = taken + #ids
  local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
  for n, id in ipairs(ids) do
    local state = read_state(states[n])
    if not definitions[n] then
      -- It is none: whatever left it here must not keep the others from coming back.
    elseif started[id] or state.status == "processing" then
      local at = crash(state)
      keep(id, state)
      if at then place(id, definitions[n], at) end
    elseif move(state, "pending") then
      if dead == "" then append_to_run(state, doubt, 0) end
      keep(id, state)
      place(id, definitions[n], now)
    end
  end
  if #ids > 0 then redis.call("HDEL", held_by(executor), unpack(ids)) end
  if #ids == #held then emptied[#emptied + 1] = executor end
end

for _, executor in ipairs(emptied) do
  for i = 10, 9 + queue_count do
    redis.call("ZREM", idle_of(ARGV[i]), executor)
  end
  redis.call("SREM", executors_of(worker), executor)
  redis.call("HDEL", OFFERS, executor)
  redis.call("HDEL", TAKERS, executor)
  redis.call("DEL", wake_of(executor))
end
write_all()

local all = #emptied == #executors
if all and dead == "" then redis.call("ZREM", leases_of("workers"), worker) end
return { taken, all and 1 or 0 }
