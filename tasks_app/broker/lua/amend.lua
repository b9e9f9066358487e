-- amend: give tasks that nobody holds another definition, and put each where that belongs.
--
-- include: keys clock tasks marks unique limits writes queues
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] most queues that there may be; 0 for no bound
-- ARGV[2...] four for each task: id, definition that it must still have, the new one, and the new one's mark
--   (JSON; "": none), of which a limit's queue and rank are taken: all else stays as it is marked
--
-- Returns of each what came of it: "amended"; or, with nothing changed, "unknown", "other" if its definition is
-- another one by now, "aside" if a purge is about to cancel it, "queues" if its queue would be one too many, or
-- the status that does not allow it. Of big tasks only the first are looked at: the others are to be asked for
-- again.

local ids = {}
for i = 2, #ARGV, 4 do
  ids[#ids + 1] = ARGV[i]
end
ids = fitting(ids)

-- The set that a task waits in, and its score there; nothing if it waits in none.
local function place_of(id, status, queue)
  local set = status == "pending" and ready_of(queue)
    or (status == "scheduled" or status == "retrying") and scheduled_of(queue)
  local score = set and redis.call("ZSCORE", set, id)
  if score then return set, score end
  local lies = (status == "pending" or status == "waiting") and waiting_of(queue)
  if lies and redis.call("SISMEMBER", lies, id) == 1 then return lies end
end

-- A mark with the queue and the rank of a new one; text, so that no number loses digits.
local function moved_mark(old, new)
  local queue, rank = string.match(new, '"q":"([^"]*)"'), string.match(new, '"r":(%-?%d+)')
  if not queue then return old end
  local mark = string.gsub(old, '"q":"[^"]*"', function() return '"q":"' .. queue .. '"' end, 1)
  return (string.gsub(mark, '"r":%-?%d+', '"r":' .. rank, 1))
end

local function put(id, status, definition, score)
  if status == "pending" then return place(id, definition, now) end
  local queue, _, expires = waits(definition)
  if score then
    add(scheduled, queue, tonumber(score), id)
  else -- it waits for other tasks, and for no limit yet
    waiting[queue] = waiting[queue] or {}
    table.insert(waiting[queue], id)
  end
  if expires ~= "0" then add(expiring, queue, expires, id) end
end

local done, payloads, moved = {}, {}, {}
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
local marks = has_marks() and ask(MARKS, ids) or {}

local function amend(n, id, definition, new, new_mark)
  local state, queue = read_state(states[n]), waits(definition)
  local set, score = place_of(id, state.status, queue)
  if not set then
    local is_held = state.owner ~= "" or is_final(state.status)
    return is_held and state.status or "aside"
  end
  if not has_room(waits(new), tonumber(ARGV[1])) then return "queues" end
  redis.call(score and "ZREM" or "SREM", set, id)
  redis.call("ZREM", expiring_of(queue), id)
  state.version = state.version + 1 -- it makes no move, but the record has to hear of it
  keep(id, state)
  put(id, state.status, new, score)
  payloads[#payloads + 1] = id
  payloads[#payloads + 1] = new
  if marks[n] then
    moved[#moved + 1] = id
    moved[#moved + 1] = moved_mark(marks[n], new_mark)
  end
  return "amended"
end

for n, id in ipairs(ids) do
  local i = n * 4 - 1
  if not definitions[n] then
    done[n] = "unknown"
  elseif definitions[n] ~= ARGV[i] then
    done[n] = "other"
  else
    done[n] = amend(n, id, definitions[n], ARGV[i + 1], ARGV[i + 2])
  end
end
if #payloads > 0 then redis.call("HSET", PAYLOADS, unpack(payloads)) end
if #moved > 0 then write_marks(moved) end
write_all()
return done
