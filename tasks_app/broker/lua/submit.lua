-- submit: store new tasks and put each where it waits, all of them or none.
--
-- include: keys clock tasks marks unique limits writes duplicates queues
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
local line, are_promised = ARGV[5], ARGV[6] == "1"

if not_after > 0 and now > not_after then return { "late" } end
if most_unrecorded > 0 and redis.call("XLEN", CHANGES) >= most_unrecorded then return { "lag" } end

local ids, payloads, starts = {}, {}, {} -- of the tasks to store; starts: moment before which each must not, ms
local queues = {} -- queue -> how many of them
local marks, has_parents = {}, {} -- {id, mark, ...}; id -> true, of those that wait for others
local numbers = {} -- key of a limit -> the numbers that the last of these tasks has for it
local keyed = {} -- of all tasks with a mark: {id, mark, id of the one that stands for it}
local known, seen, answer = {}, {}, { "ok" }

-- What becomes of a task with a mark. Returns the task that stands for it, if any; the moment before which it
-- must not start; and the answer to the whole call, if this is refused.
local function decide_marked(id, text, at)
  local mark = read_mark(text)
  local there, refused, later = duplicates().decide(id, mark, at, line)
  at = later or at
  keyed[#keyed + 1] = { id, mark, there }
  if there and there ~= id and are_promised then
    duplicates().ends_with[id] = string.gsub(line, "{}", there)
    there = nil
  elseif refused then
    return there, at, { refused, id, there }
  end
  if there then return there, at end
  duplicates().starts_at[id] = at
  has_parents[id] = mark.p and true
  if mark.u or mark.l then
    marks[#marks + 1] = id
    marks[#marks + 1] = text
  end
  if mark.l then numbers[mark.l.k] = mark.l end
  return nil, at
end

for i = 7, #ARGV, 4 do
  local id, definition, at, mark = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3]
  local there, refusal
  if seen[id] then known[#known + 1] = id end
  seen[id] = true
  if mark ~= "" then there, at, refusal = decide_marked(id, mark, at) end
  if refusal then return refusal end
  if there == id then
    known[#known + 1] = id
  elseif there then
    answer[#answer + 1] = id
    answer[#answer + 1] = there
  else
    ids[#ids + 1] = id
    starts[#ids] = at
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

local replaced = #keyed > 0 and duplicates().replaced or {}
local ends_with = #keyed > 0 and duplicates().ends_with or {}

-- How many tasks will wait in a queue, with those of this call.
local function length_of(queue)
  local length = queues[queue] + redis.call("ZCARD", ready_of(queue)) + redis.call("ZCARD", scheduled_of(queue))
    + redis.call("SCARD", waiting_of(queue))
  for _, old in ipairs(replaced) do
    if waits(old[3]) == queue then length = length - 1 end
  end
  return length
end

for queue in pairs(queues) do
  if not has_room(queue, most_queues) then return { "queues" } end
end
for queue in pairs(most_waiting > 0 and queues or {}) do
  if length_of(queue) > most_waiting then return { "full", queue } end
end

-- End a task that a new one replaces, wherever it waits.
local function end_replaced(id, state, definition, by)
  local queue = waits(definition)
  redis.call("ZREM", ready_of(queue), id)
  redis.call("ZREM", scheduled_of(queue), id)
  redis.call("SREM", waiting_of(queue), id)
  redis.call("ZREM", expiring_of(queue), id)
  call_off(id, state, by)
end

-- Let a new task wait where it belongs; or end it, if it is one of another's.
local function put(id, definition, at)
  local status = has_parents[id] and "waiting" or at > now and "scheduled" or "pending"
  if ends_with[id] then return call_off(id, read_state(false, status), ends_with[id]) end
  if status == "pending" then
    changed_ids[#changed_ids + 1] = id -- a task without a state is pending
  else
    local state = read_state(false, status)
    state.changed = now
    keep(id, state)
  end
  if status == "waiting" then
    hold_back(id, definition)
  else
    place(id, definition, at)
  end
end

for _, old in ipairs(replaced) do
  end_replaced(unpack(old))
end
for n, id in ipairs(ids) do
  put(id, payloads[n * 2], starts[n])
end

for _, each in ipairs(keyed) do
  duplicates().remember(unpack(each))
end
if #marks > 0 then write_marks(marks) end
for _, limit in pairs(numbers) do
  limits().write_numbers(limit)
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
