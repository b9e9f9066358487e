-- submit: store new tasks and put each where it waits, all of them or none.
--
-- include: keys clock tasks writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] moment after which the call is too late, ms; 0 for never
-- ARGV[2] most tasks that may wait in one queue; 0 for no bound
-- ARGV[3] most entries that may wait for the recorder; 0 for no bound
-- ARGV[4...] three for each task: id, definition, moment before which it must not start (ms; 0: at once)
--
-- Returns {"ok"}; or, with nothing stored, {"late"}, {"lag"}, {"full", queue} or {"known", id, ...}, which
-- an id is too that was given twice.

local not_after, most_waiting, most_unrecorded = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

if not_after > 0 and now > not_after then return { "late" } end
if most_unrecorded > 0 and redis.call("XLEN", CHANGES) >= most_unrecorded then return { "lag" } end

local ids, payloads, queues, known, seen = {}, {}, {}, {}, {}
for i = 4, #ARGV, 3 do
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

if most_waiting > 0 then
  for queue, tasks in pairs(queues) do
    local waiting = redis.call("ZCARD", ready_of(queue)) + redis.call("ZCARD", scheduled_of(queue))
    if waiting + tasks > most_waiting then return { "full", queue } end
  end
end

for i = 4, #ARGV, 3 do
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
for queue in pairs(queues) do
  redis.call("SADD", QUEUES, queue)
end
count("submitted", #ids)
write_all()
return { "ok" }
