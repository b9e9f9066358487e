-- finish: decide the outcome of held tasks. Only who holds a task under its token may: that one
-- check guards against late workers, reapers, thieves and repeated calls alike.

local OUTCOMES = " completed failed retry released turned_away snoozed snoozed_again "

-- It was published as an attempt, and is none.
local function uncount(state)
  if state.status == "processing" then state.starts = state.starts - 1 end
end

-- A pause that the task asked for: not even an attempt. One line tells of all in a row: the last one.
local function snooze(state, outcome, line)
  uncount(state)
  if outcome == "snoozed_again" then state.attempts = string.match(state.attempts, "^(.*\n)[^\n]*\n$") or "" end
  append(state, line)
end

-- Apply one outcome to a held task's state. Returns the moment it may run again, or nothing if it is over.
local function settle(state, outcome, pause_ms, line)
  if not string.find(OUTCOMES, " " .. outcome .. " ", 1, true) then
    error("no such outcome: " .. outcome)
  end
  local is_snoozed = outcome == "snoozed" or outcome == "snoozed_again"
  local is_back = outcome == "released" or outcome == "turned_away"
  if is_snoozed then
    snooze(state, outcome, line)
  else
    if outcome == "turned_away" then
      uncount(state)
    elseif not is_back and state.status == "assigned" then
      state.starts = state.starts + 1 -- too short to have been published as processing
    end
    append(state, line)
  end
  if outcome == "retry" or outcome == "failed" then
    state.failures = state.failures + 1
  end
  if not is_back and not is_snoozed then count(outcome == "retry" and "retried" or outcome) end
  if outcome == "completed" or outcome == "failed" then
    move(state, outcome)
    return nil
  end
  if pause_ms > 0 then
    move(state, outcome == "retry" and "retrying" or "scheduled")
  else
    move(state, "pending")
  end
  return now + pause_ms
end

-- Tasks that were claimed together have equal states before and after, but for their own line. So the hot
-- path reads and writes the first of them, and remembers: state before -> header after.
local completed = {}

-- Finish one held task. Returns the moment it may run again, or nothing if it is over.
local function finish(id, raw, outcome, pause_ms, line)
  local header = outcome == "completed" and line ~= "" and completed[raw]
  if header then
    count("completed")
    keep_text(id, header .. line .. "\n")
    ended[#ended + 1] = id
    return nil
  end
  local state = read_state(raw)
  local at = settle(state, outcome, pause_ms, line)
  keep(id, state)
  if outcome == "completed" and state.attempts == line .. "\n" then completed[raw] = header_of(state) end
  return at
end

-- Finish the tasks described from ARGV[first] on; write_all() stores it. Returns the stale ids.
local function finish_all(executor, first)
  local ids, stale = {}, {}
  for i = first, #ARGV, 5 do
    ids[#ids + 1] = ARGV[i]
  end
  if #ids == 0 then return stale end
  local tokens, states = ask(held_by(executor), ids), ask(STATES, ids)
  local done, again, seen = {}, {}, {}
  for n, id in ipairs(ids) do
    local i = first + (n - 1) * 5
    if tokens[n] and tokens[n] == ARGV[i + 1] and not seen[id] then
      seen[id] = true
      local at = finish(id, states[n], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4])
      done[#done + 1] = id
      if at then again[#again + 1] = { id, at } end
    else
      stale[#stale + 1] = id
    end
  end
  if #stale > 0 then count("stale", #stale) end
  local waiting = {}
  for n, item in ipairs(again) do
    waiting[n] = item[1]
  end
  for n, definition in ipairs(ask(PAYLOADS, waiting)) do
    place(again[n][1], definition, again[n][2])
  end
  if #done > 0 then redis.call("HDEL", held_by(executor), unpack(done)) end
  return stale
end

local function split(text)
  local words = {}
  for word in string.gmatch(text, "%S+") do
    words[#words + 1] = word
  end
  return words
end
