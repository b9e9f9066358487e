-- submit: store new tasks and put each where it waits, all of them or none.
--
-- include: keys clock tasks marks unique limits writes duplicates
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] moment after which the call is too late, ms; 0 for never
-- ARGV[2] most tasks that may wait in one queue; 0 for no bound
-- ARGV[3] most entries that may wait for the recorder; 0 for no bound
-- ARGV[4] most queues that there may be; 0 for no bound
-- ARGV[5] line for the attempts of each task that another one stands for, with {} for that one's id
-- ARGV[6] 1 if the ids are promised already: then a task that another one stands for is stored, as cancelled
-- ARGV[7...] four for each task: id, definition, moment before which it must not start (ms; 0: at once), mark
--   (JSON; "": none)
--
-- Returns {"ok", id, other, ...}: for each task that was not stored, since another one stands for it, its id
-- and the other's. Or, with nothing stored, {"late"}, {"lag"}, {"full", queue}, {"queues"}; {"known", id, ...},
-- which an id is too that was given twice; {"duplicate", id, other}, of one that is refused then; or
-- {"reused", id, other}, of a repeated call that asks for something else than before.

local not_after, most_waiting = tonumber(ARGV[1]), tonumber(ARGV[2])
local most_unrecorded, most_queues = tonumber(ARGV[3]), tonumber(ARGV[4])

if not_after > 0 and now > not_after then return { "late" } end
if most_unrecorded > 0 and redis.call("XLEN", CHANGES) >= most_unrecorded then return { "lag" } end

local ids, payloads, marks, queues, known, seen, answer = {}, {}, {}, {}, {}, {}, { "ok" }
local limits = {} -- key -> the numbers that the last of these tasks has for it
local starts = {} -- moment before which each of the stored tasks must not start, ms
local keyed = {} -- marks of the stored tasks that have some: {id, mark}
local has_parents = {} -- id -> true, of the stored tasks that wait for others
for i = 7, #ARGV, 4 do
  local id, definition, at, mark = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local there
  if seen[id] then known[#known + 1] = id end
  seen[id] = true
  if mark ~= "" then
    local decoded = read_mark(mark)
    local refused, later
    there, refused, later = decide(id, decoded, at, ARGV[5])
    at = later or at
    keyed[#keyed + 1] = { id, decoded, there }
    if there and there ~= id and ARGV[6] == "1" then
      ends_with[id] = string.gsub(ARGV[5], "{}", there)
      there = nil
    elseif refused then
      return { refused, id, there }
    end
    has_parents[id] = decoded.p and true
    if not there and (decoded.u or decoded.l) then
      marks[#marks + 1] = id
      marks[#marks + 1] = mark
      if decoded.l then limits[decoded.l.k] = decoded.l end
    end
  end
  if there == id then
    known[#known + 1] = id
  elseif there then
    answer[#answer + 1] = id
    answer[#answer + 1] = there
  else
    ids[#ids + 1] = id
    starts[#ids] = at
    if mark ~= "" then starts_at[id] = at end
    payloads[#payloads + 1] = id
    payloads[#payloads + 1] = definition
    local queue = waits(definition)
    queues[queue] = (queues[queue] or 0) + 1
  end
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
    if redis.call("EXISTS", ready_of(queue), scheduled_of(queue), waiting_of(queue)) == 0
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
      + redis.call("SCARD", waiting_of(queue))
    for _, old in ipairs(replaced) do
      if waits(old[3]) == queue then waiting = waiting - 1 end
    end
    if waiting + tasks > most_waiting then return { "full", queue } end
  end
end

-- End a task that a new one replaces, wherever it waits.
local function cancel(id, state, line)
  move(state, "cancelled")
  append_to_run(state, line, 0)
  keep(id, state)
  count("cancelled")
end

for _, old in ipairs(replaced) do
  local id, state, definition, line = unpack(old)
  local queue = waits(definition)
  redis.call("ZREM", ready_of(queue), id)
  redis.call("ZREM", scheduled_of(queue), id)
  redis.call("SREM", waiting_of(queue), id)
  redis.call("ZREM", expiring_of(queue), id)
  cancel(id, state, line)
end

for n, id in ipairs(ids) do
  local at, line = starts[n], ends_with[id]
  local state = has_parents[id] and read_state(false, "waiting") or at > now and read_state(false, "scheduled")
  if line then
    cancel(id, state or read_state(false), line)
  else
    if state then
      state.changed = now
      keep(id, state)
    else
      changed_ids[#changed_ids + 1] = id
    end
    if has_parents[id] then
      hold_back(id, payloads[n * 2])
    else
      place(id, payloads[n * 2], at)
    end
  end
end

for _, each in ipairs(keyed) do
  local id, mark, there = unpack(each)
  if mark.u and not there and decided[mark.u.k].id == id then own(mark.u, id, decided[mark.u.k].first) end
  if mark.i and promised[mark.i.k] then promise(mark.i, promised[mark.i.k][1]) end
end

if #marks > 0 then write_marks(marks) end
for _, limit in pairs(limits) do
  write_numbers(limit)
end
if #ids > 0 then
  redis.call("HSET", PAYLOADS, unpack(payloads))
  count("submitted", #ids)
end
for queue, tasks in pairs(queues) do
  redis.call("HINCRBY", ARRIVALS, queue, tasks)
end
write_all()
return answer
