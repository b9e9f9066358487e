-- writes: what a script wants to change, collected first and written at its end. A script that
-- fails is not rolled back, so nothing is written before the last check has passed.

local new_states, changed_ids = {}, {}
local ended, back = {}, {} -- ids of tasks that are over, and of open ones that nobody holds (any more)
local ready, scheduled, expiring = {}, {}, {} -- queue -> {score, id, score, id, ...}
local waiting = {} -- queue -> {id, ...}
local counts = {} -- counter -> by how much

local function add(sets, queue, score, id)
  local set = sets[queue]
  if not set then
    set = {}
    sets[queue] = set
  end
  set[#set + 1] = score
  set[#set + 1] = id
end

local function count(name, by)
  counts[name] = (counts[name] or 0) + (by or 1)
end

local function keep_text(id, text)
  new_states[#new_states + 1] = id
  new_states[#new_states + 1] = text
  changed_ids[#changed_ids + 1] = id
end

local function keep(id, state)
  keep_text(id, write_state(state))
  if is_final(state.status) then
    ended[#ended + 1] = id
  elseif state.owner == "" then
    back[#back + 1] = id
  end
end

-- End an open task as cancelled; false if it is none. `line` is of its start `number`, 0 if it had not begun.
local function call_off(id, state, line, number)
  if not move(state, "cancelled") then return false end
  append_to_run(state, line, number or 0)
  keep(id, state)
  count("cancelled")
  return true
end

-- Let a task wait for others, until admit.lua decides.
local function hold_back(id, definition)
  local queue, _, expires = waits(definition)
  waiting[queue] = waiting[queue] or {}
  table.insert(waiting[queue], id)
  if expires ~= "0" then add(expiring, queue, expires, id) end
end

-- Put a task where it waits: in scheduled until `at` (ms), or in ready; see limits.lua.
local function place(id, definition, at)
  local queue, rank, expires = waits(definition)
  if at > now then
    add(scheduled, queue, at, id)
  else
    add(ready, queue, rank, id) -- a rank has up to 16 digits: passed on as text, never counted with
  end
  if expires ~= "0" then
    add(expiring, queue, expires, id)
  end
end

-- The most urgent task of a queue, held for an idle executor under the token that it offered, as text:
-- token, id, length of the state, newline, state, definition. So it need not ask. Nothing if it offered
-- none, or if the task is one that a claim would not simply give.
local function handed_over(queue, executor)
  local token = redis.call("HGET", OFFERS, executor)
  if not token then return end
  redis.call("HDEL", OFFERS, executor)
  if redis.call("SISMEMBER", PAUSED, queue) == 1 then return end
  local id = redis.call("ZRANGE", ready_of(queue), 0, 0)[1]
  local definition = id and redis.call("HGET", PAYLOADS, id)
  if not definition or has_expired(definition) then return end
  local written = assigned(redis.call("HGET", STATES, id), "pending", executor)
  if not written then return end
  redis.call("ZREM", ready_of(queue), id)
  hold(executor, { id, written }, { id, token })
  if has_marks() then limits().spend({ id }) end
  return token .. " " .. id .. " " .. #written .. "\n" .. written .. definition
end

local TOKEN_MS = 5000

local function push_wake(executor, word)
  redis.call("RPUSH", wake_of(executor), word)
  redis.call("PEXPIRE", wake_of(executor), TOKEN_MS)
end

-- Every move into ready ends here: up to ten executors with a free slot hear of it.
local MOST_WOKEN = 10

local function wake(queue, tasks)
  local idle = idle_of(queue)
  for _ = 1, math.min(tasks, MOST_WOKEN) do
    local last = redis.call("ZPOPMAX", idle)
    if #last == 0 then return end
    if tonumber(last[2]) < now then -- and so are all the others
      redis.call("DEL", idle)
      return
    end
    push_wake(last[1], handed_over(queue, last[1]) or "1")
  end
end

local function earliest(set)
  local least = tonumber(set[1])
  for i = 3, #set, 2 do
    least = math.min(least, tonumber(set[i]))
  end
  return least
end

local function write_sets()
  for _, timed in ipairs({ { scheduled, scheduled_of }, { expiring, expiring_of } }) do
    for queue, set in pairs(timed[1]) do
      redis.call("ZADD", timed[2](queue), unpack(set))
      redis.call("ZADD", DUE, "LT", earliest(set), queue)
    end
  end
  for queue in pairs(scheduled) do
    redis.call("SADD", QUEUES, queue)
  end
  for queue, set in pairs(waiting) do
    redis.call("SADD", QUEUES, queue)
    redis.call("SADD", waiting_of(queue), unpack(set))
  end
  for queue, set in pairs(ready) do
    redis.call("SADD", QUEUES, queue)
    redis.call("ZADD", ready_of(queue), unpack(set))
    wake(queue, #set / 2)
  end
end

-- Write what was collected, and start afresh.
local function write_all()
  local moves = #ended > 0 or next(ready) or #back > 0 or next(touched)
  if moves and has_marks() then
    local marks = by_mark(ended)
    unique().let_go(marks)
    limits().leave(marks)
    limits().leave(by_mark(back))
    for id, mark in pairs(limits().line_up(ready)) do
      local queue = mark.l.q
      waiting[queue] = waiting[queue] or {}
      table.insert(waiting[queue], id)
    end
  end
  if #new_states > 0 then
    redis.call("HSET", STATES, unpack(new_states))
  end
  write_sets()
  for name, by in pairs(counts) do
    redis.call("HINCRBY", COUNTERS, name, by)
  end
  if #changed_ids > 0 then
    redis.call("XADD", CHANGES, "*", "ids", table.concat(changed_ids, " "))
  end
  new_states, changed_ids, ended, back, counts = {}, {}, {}, {}, {}
  ready, scheduled, expiring, waiting = {}, {}, {}, {}
  if next(touched) then return write_all() end -- whoever was woken has spent a token
end
