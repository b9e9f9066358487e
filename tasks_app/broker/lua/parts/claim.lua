-- claim: give the most urgent tasks of some queues to an executor.

-- The ids that a repeated call was given the first time, as claim() would answer.
local function held_under(executor, token)
  local ids, answer = {}, {}
  local held = redis.call("HGETALL", held_by(executor))
  for i = 1, #held, 2 do
    if held[i + 1] == token then ids[#ids + 1] = held[i] end
  end
  local definitions, states = ask(PAYLOADS, ids), ask(STATES, ids)
  for n, id in ipairs(ids) do
    answer[#answer + 1] = id
    answer[#answer + 1] = definitions[n]
    answer[#answer + 1] = states[n]
  end
  return answer
end

local function unpaused(queues)
  local open = {}
  for n, paused in ipairs(redis.call("SMISMEMBER", PAUSED, unpack(queues))) do
    if paused == 0 then open[#open + 1] = queues[n] end
  end
  return open
end

-- The ids of the `limit` lowest ranks over several queues, taken out of them.
local function take(queues, limit)
  local ids = {}
  if #queues == 1 then
    local popped = redis.call("ZPOPMIN", ready_of(queues[1]), limit)
    for i = 1, #popped, 2 do
      ids[#ids + 1] = popped[i]
    end
    return ids
  end
  local heads = {}
  for _, queue in ipairs(queues) do
    local found = redis.call("ZRANGE", ready_of(queue), 0, limit - 1, "WITHSCORES")
    for i = 1, #found, 2 do
      heads[#heads + 1] = { found[i], tonumber(found[i + 1]), queue }
    end
  end
  table.sort(heads, function(a, b)
    if a[2] ~= b[2] then return a[2] < b[2] end
    return a[1] < b[1]
  end)
  local taken = {}
  for n = 1, math.min(limit, #heads) do
    local id, queue = heads[n][1], heads[n][3]
    ids[n] = id
    taken[queue] = taken[queue] or {}
    table.insert(taken[queue], id)
  end
  for queue, gone in pairs(taken) do
    redis.call("ZREM", ready_of(queue), unpack(gone))
  end
  return ids
end

-- Hold the tasks, or end those that have expired (write_all() stores that). Returns three for each held one.
local function hold(executor, token, ids)
  local answer, held, states = {}, {}, {}
  local definitions, before = ask(PAYLOADS, ids), ask(STATES, ids)
  for n, id in ipairs(ids) do
    local definition = definitions[n]
    if definition then -- else it was forgotten, which only a final task is
      local _, _, expires = waits(definition)
      local state = read_state(before[n])
      if expires ~= "0" and tonumber(expires) <= now then
        if move(state, "expired") then
          keep(id, state)
          count("expired")
        end
      elseif move(state, "assigned", executor) then
        states[#states + 1] = id
        states[#states + 1] = write_state(state)
        held[#held + 1] = id
        held[#held + 1] = token
        answer[#answer + 1] = id
        answer[#answer + 1] = definition
        answer[#answer + 1] = states[#states]
      end
    end
  end
  if #held > 0 then
    redis.call("HSET", STATES, unpack(states))
    redis.call("HSET", held_by(executor), unpack(held))
  end
  return answer
end

local function claim(executor, token, queues, limit, idle_ms)
  local answer = {}
  local open = unpaused(queues)
  if #open > 0 then
    local ids = take(open, limit)
    if #ids > 0 then answer = hold(executor, token, ids) end
  end
  if idle_ms > 0 and #answer / 3 < limit then
    for _, queue in ipairs(queues) do
      redis.call("ZADD", idle_of(queue), now + idle_ms, executor)
    end
  end
  return answer
end
