-- claim: give the most urgent tasks of some queues to an executor.

-- The order of a sorted set, for {id, rank, ...}.
local function more_urgent(a, b)
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[1] < b[1]
end

-- The ids that a repeated call was given the first time, as claim() would answer.
local function held_under(executor, token)
  local ids, answer = {}, {}
  local held = redis.call("HGETALL", held_by(executor))
  for i = 1, #held, 2 do
    if held[i + 1] == token then ids[#ids + 1] = held[i] end
  end
  local definitions, states, found = ask(PAYLOADS, ids), ask(STATES, ids), {}
  for n, id in ipairs(ids) do
    local _, rank = waits(definitions[n])
    found[n] = { id, tonumber(rank), definitions[n], states[n] }
  end
  table.sort(found, more_urgent)
  for _, task in ipairs(found) do
    answer[#answer + 1] = task[1]
    answer[#answer + 1] = task[3]
    answer[#answer + 1] = task[4]
  end
  return answer
end

local function unpaused(queues)
  local open = {}
  if #queues == 0 then return open end
  for n, paused in ipairs(redis.call("SMISMEMBER", PAUSED, unpack(queues))) do
    if paused == 0 then open[#open + 1] = queues[n] end
  end
  return open
end

-- The ids of the `limit` lowest ranks over several queues, taken out of them; their ranks; and the queues
-- that they come from.
local function take(queues, limit)
  local ids, ranks, homes = {}, {}, {}
  if #queues == 1 then
    local popped = redis.call("ZPOPMIN", ready_of(queues[1]), limit)
    for i = 1, #popped, 2 do
      local n = #ids + 1
      ids[n], ranks[n], homes[n] = popped[i], popped[i + 1], queues[1]
    end
    return ids, ranks, homes
  end
  local heads = {}
  for _, queue in ipairs(queues) do
    local found = redis.call("ZRANGE", ready_of(queue), 0, limit - 1, "WITHSCORES")
    for i = 1, #found, 2 do
      heads[#heads + 1] = { found[i], tonumber(found[i + 1]), queue }
    end
  end
  table.sort(heads, more_urgent)
  local taken = {}
  for n = 1, math.min(limit, #heads) do
    local id, rank, queue = unpack(heads[n])
    ids[n], ranks[n], homes[n] = id, rank, queue
    taken[queue] = taken[queue] or {}
    table.insert(taken[queue], id)
  end
  for queue, gone in pairs(taken) do
    redis.call("ZREM", ready_of(queue), unpack(gone))
  end
  return ids, ranks, homes
end

-- Choose the tasks to hold, and end those that have expired (write_all() stores that). Adds to what is
-- held (id, token, ...), to its states (id, state, ...) and to the answer; returns its definitions' bytes.
local function choose(executor, token, ids, held, states, answer)
  local bytes = 0
  local again = {} -- state before -> text of the state after; false if it is not given out
  local first = assigned(false, "pending", executor) -- of all that are claimed for the first time
  local definitions, before = ask(PAYLOADS, ids), ask(STATES, ids)
  for n, id in ipairs(ids) do
    local definition = definitions[n]
    if definition then -- else it was forgotten, which only a final task is
      local written = first
      if before[n] then
        local raw = before[n] -- tasks that were admitted together have it in common
        if again[raw] == nil then again[raw] = assigned(raw, "pending", executor) end
        written = again[raw]
      end
      if has_expired(definition) then
        local state = read_state(before[n])
        if move(state, "expired") then
          keep(id, state)
          count("expired")
        end
      elseif written then
        states[#states + 1] = id
        states[#states + 1] = written
        held[#held + 1] = id
        held[#held + 1] = token
        bytes = bytes + #definition
        answer[#answer + 1] = id
        answer[#answer + 1] = definition
        answer[#answer + 1] = written
      end
    end
  end
  return bytes
end

local FIRST_LOOK = 32 -- tasks; then twice as many each time

-- Returns three for each task that the executor holds now. Big tasks come in smaller numbers than asked for.
local function claim(executor, token, queues, limit)
  local open = unpaused(queues)
  if #open == 0 then return {} end
  local ids, ranks, homes = take(open, limit)
  local held, states, answer = {}, {}, {}
  local first, size, bytes = 1, FIRST_LOOK, 0
  while first <= #ids and bytes < MOST_BYTES do
    local some = { unpack(ids, first, math.min(first + size - 1, #ids)) }
    bytes = bytes + choose(executor, token, some, held, states, answer)
    first, size = first + size, size * 2
  end
  for n = first, #ids do
    add(ready, homes[n], ranks[n], ids[n]) -- back to its place
  end
  if #held == 0 then return answer end
  hold(executor, states, held)
  if has_marks() and limits().has_rates() then
    local given = {}
    for i = 1, #held, 2 do
      given[#given + 1] = held[i]
    end
    limits().spend(given)
  end
  return answer
end

-- Nobody hands anything over under this token from now on; what somebody has, as claim() would answer.
local function end_offer(executor, token)
  redis.call("HDEL", OFFERS, executor)
  redis.call("HDEL", TAKERS, executor)
  redis.call("DEL", wake_of(executor)) -- the same task, on its way
  return held_under(executor, token)
end

local function offer_in(hash, executor, token)
  if token then
    redis.call("HSET", hash, executor, token)
  else
    redis.call("HDEL", hash, executor)
  end
end

-- Put the executor among the idle for so long; or take it off, so that no wake-up is wasted on it. Whoever
-- wakes it may hand it a task only if it serves one queue: a more urgent one might wait in another.
-- Returns "1" if it is among the idle now.
local function register(executor, queues, idle_ms, was_idle, offer, steals)
  if idle_ms == 0 and was_idle == "0" then return "0" end
  local offers = idle_ms > 0 and offer ~= ""
  offer_in(OFFERS, executor, offers and #queues == 1 and offer)
  offer_in(TAKERS, executor, offers and steals and offer)
  for _, queue in ipairs(queues) do
    if idle_ms > 0 then
      redis.call("ZADD", idle_of(queue), now + idle_ms, executor)
    else
      redis.call("ZREM", idle_of(queue), executor)
    end
  end
  return idle_ms > 0 and "1" or "0"
end
