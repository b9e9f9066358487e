-- unique, made when first called for: a key that at most one task has: until that is over, or for a period after its submit.

-- The task that has a key, and when the first of those was submitted that it stands for (ms, as text).
local function owner_of(key)
  return string.match(redis.call("GET", unique_of(key)) or "", "^(%S+) (%d+)$")
end

-- Give a key to a task, until let_go() or for its period. `first`: ms, as text.
local function own(unique, id, first)
  if unique.ms > 0 then
    redis.call("SET", unique_of(unique.k), id .. " " .. first, "PX", unique.ms)
  else
    redis.call("SET", unique_of(unique.k), id .. " " .. first)
  end
end

-- Take their keys from tasks that are over, but for those that a period holds. `marks` as by_mark() tells.
local function let_go(marks)
  for mark, ids in pairs(marks) do
    local key = mark.u and mark.u.ms == 0 and mark.u.k
    local owner = key and owner_of(key)
    for _, id in ipairs(owner and ids or {}) do
      if owner == id then redis.call("DEL", unique_of(key)) end
    end
  end
end

-- A mark says what is promised to a repeated call: {k, h: digest of what is asked, ms: for how long}.
local function promise(promised, id)
  redis.call("SET", promise_of(promised.k), id .. " " .. promised.h, "PX", promised.ms)
end

-- The state of a task that is open, and its definition; nothing of one that is over, is lost, or was put aside
-- by a purge, which is as good as over.
local function open_task(id)
  local definition = redis.call("HGET", PAYLOADS, id)
  if not definition then return nil end
  local state = read_state(redis.call("HGET", STATES, id))
  if is_final(state.status) then return nil end
  local queue = waits(definition)
  local set = state.status == "pending" and ready_of(queue)
    or (state.status == "scheduled" or state.status == "retrying") and scheduled_of(queue)
  local is_waiting = (state.status == "pending" or state.status == "waiting")
    and redis.call("SISMEMBER", waiting_of(queue), id) == 1
  if is_waiting then set = nil end
  if state.status == "waiting" and not is_waiting then return nil end
  if set and not redis.call("ZSCORE", set, id) then return nil end
  return state, definition
end
