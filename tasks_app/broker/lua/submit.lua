-- submit: store new tasks and put each where it waits, all of them or none.
--
-- include: keys clock tasks writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] moment after which the call is too late, ms; 0 for never
-- ARGV[2] most tasks that may wait in one queue; 0 for no bound
-- ARGV[3] most entries that may wait for the recorder; 0 for no bound
-- ARGV[4] most queues that there may be; 0 for no bound
-- ARGV[5...] three for each task: id, definition, moment before which it must not start (ms; 0: at once)
--
-- Returns {"ok"}; or, with nothing stored, {"late"}, {"lag"}, {"full", queue}, {"queues"} or
-- {"known", id, ...}, which an id is too that was given twice.

local not_after, most_waiting = tonumber(ARGV[1]), tonumber(ARGV[2])
local most_unrecorded, most_queues = tonumber(ARGV[3]), tonumber(ARGV[4])

if not_after > 0 and now > not_after then return { "late" } end
if most_unrecorded > 0 and redis.call("XLEN", CHANGES) >= most_unrecorded then return { "lag" } end

local ids, payloads, queues, known, seen = {}, {}, {}, {}, {}
for i = 5, #ARGV, 3 do
  local id = ARGV[i]
  if seen[id] then known[#known + 1] = id end
  seen[id] = true
  ids[#ids + 1] = id
  payloads[#payloads + 1] = id
  payloads[#payloads + 1] = ARGV[i + 1]
  local queue = waits(ARGV[i + 1])
  queues[queue] = (queues[queue] or 0) + 1
end

for i, payload in ipairs(ask(PAYLOADS, ids)) do
  if payload then known[#known + 1] = ids[i] end
end
if #known > 0 then return { "known", unpack(known) } end

-- Whether the names would be more than the bound, though some that nothing waits under are dropped.
local function too_many_queues()
  if redis.call("SCARD", QUEUES) < most_queues then return false end
  local news = 0
  for queue in pairs(queues) do
    news = news + 1 - redis.call("SISMEMBER", QUEUES, queue)
  end
  for _, queue in ipairs(news > 0 and redis.call("SRANDMEMBER", QUEUES, 20) or {}) do
    if redis.call("EXISTS", ready_of(queue), scheduled_of(queue)) == 0
      and redis.call("SISMEMBER", PAUSED, queue) == 0 then
      redis.call("SREM", QUEUES, queue)
      redis.call("HDEL", ARRIVALS, queue)
    end
  end
  return news > 0 and redis.call("SCARD", QUEUES) + news > most_queues
end

if most_queues > 0 and too_many_queues() then return { "queues" } end
if most_waiting > 0 then
  for queue, tasks in pairs(queues) do
    local waiting = redis.call("ZCARD", ready_of(queue)) + redis.call("ZCARD", scheduled_of(queue))
    if waiting + tasks > most_waiting then return { "full", queue } end
  end
end

for i = 5, #ARGV, 3 do
  local id, at = ARGV[i], tonumber(ARGV[i + 2])
  if at > now then
    local state = read_state(false, "scheduled")
    state.changed = now
    keep(id, state)
  else
    changed_ids[#changed_ids + 1] = id
  end
  place(id, ARGV[i + 1], at)
end

redis.call("HSET", PAYLOADS, unpack(payloads))
for queue, tasks in pairs(queues) do
  redis.call("HINCRBY", ARRIVALS, queue, tasks)
end
count("submitted", #ids)
write_all()
return { "ok" }
