-- duplicates, made when first called for: what becomes of a task that is submitted while another one has its
-- key, or of a call that is repeated. Decided for all tasks of a call before anything is written.

local decided = {} -- unique key -> the task of this call that gets it: {id, first}
local promised = {} -- key of a repeated call -> {id, digest}
local starts_at = {} -- id -> moment before which it must not start (ms), of the tasks of this call that are stored
local ends_with = {} -- id -> line, of those of them that are stored and cancelled by it
local replaced = {} -- of tasks that were stored before: {id, state, definition, line}

-- Whether an open task has certainly not begun: what an executor has in hand may have.
local function is_waiting(status)
  return status ~= "assigned" and status ~= "processing"
end

-- The task that has a key: id, first (ms, as text), status or nothing if it is over, starts, state, definition.
local function holder_of(key)
  local mine = decided[key]
  if mine then
    return mine.id, mine.first, starts_at[mine.id] > now and "scheduled" or "pending", 0
  end
  local id, first = unique().owner_of(key)
  local state, definition
  if id then state, definition = unique().open_task(id) end
  if not state then return id, first end
  return id, first, state.status, tonumber(state.starts), state, definition
end

local function replace(old, state, definition, new, line)
  line = string.gsub(line, "{}", new)
  if state then
    replaced[#replaced + 1] = { old, state, definition, line }
  else
    ends_with[old] = line -- whoever submitted it can look it up
  end
end

-- Returns the task that stands for this one, if any, and the moment before which this one may not start.
local function decide_unique(asked, id, at, line)
  local old, first, status, starts, state, definition = holder_of(asked.k)
  local is_new = true
  if asked.w then
    if status == "scheduled" and starts == 0 then
      replace(old, state, definition, id, line)
      at = math.max(at, math.min(now + asked.w, tonumber(first) + asked.most))
      is_new = false
    else
      at = math.max(at, now + asked.w)
    end
  elseif asked.d == "replace" then
    if status and is_waiting(status) then replace(old, state, definition, id, line) end
  elseif old and (status or asked.ms > 0) then
    return old
  end
  decided[asked.k] = { id = id, first = is_new and string.format("%.0f", now) or first }
  return nil, at
end

-- Returns what stands for the call that this one repeats, if any, and whether it asks for the same.
local function repeated(mark)
  local id, digest = string.match(redis.call("GET", promise_of(mark.k)) or "", "^(%S+) (%x+)$")
  if promised[mark.k] then id, digest = unpack(promised[mark.k]) end
  return id, digest == mark.h
end

-- Returns the task that stands for a submitted one, if any; why the call is refused, if it is ("duplicate" or
-- "reused"); and the moment before which the new one may not start.
local function decide(id, mark, at, line)
  local there
  if mark.i then
    local before, is_same = repeated(mark.i)
    if before then return before, not is_same and "reused" or nil end
  end
  if mark.u then
    there, at = decide_unique(mark.u, id, at, line)
    if there and mark.u.d == "refuse" then return there, "duplicate" end
  end
  if mark.i then promised[mark.i.k] = { there or id, mark.i.h } end
  return there, nil, at
end

-- Write down that a submitted task has its keys, or that another one stands for it.
local function remember(id, mark, there)
  local mine = mark.u and decided[mark.u.k]
  if mine and not there and mine.id == id then unique().own(mark.u, id, mine.first) end
  if mark.i and promised[mark.i.k] then unique().promise(mark.i, promised[mark.i.k][1]) end
end
