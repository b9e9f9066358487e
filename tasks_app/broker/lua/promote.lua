-- promote: move what is due into ready, end what has expired, and admit tasks whose limits have tokens again.
--
-- include: keys clock tasks marks unique limits writes term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] most tasks to look at
--
-- Returns {tasks looked at, ms until the next one is due; -1 if none waits}.

if is_over(ARGV[1]) then return LOST_LEAD end

local limit, looked_at = tonumber(ARGV[2]), 0

local function due_in(set, most)
  if most <= 0 then return {} end
  local ids = fitting(redis.call("ZRANGEBYSCORE", set, "-inf", now, "LIMIT", 0, most))
  looked_at = looked_at + #ids
  return ids
end

-- A due task becomes pending, or expired if that moment has passed too.
local function begin(id, state, definition)
  if has_expired(definition) then
    if move(state, "expired") then
      keep(id, state)
      count("expired")
    end
  elseif move(state, "pending") then
    keep(id, state)
    place(id, definition, now)
  end
end

-- Only a waiting task expires; a held one comes back to `expiring` when it is given back. And only by
-- what its definition says: this entry may be of an earlier run.
local function expire(id, state, definition, queue)
  if has_expired(definition) and state.status ~= "assigned" and state.status ~= "processing"
    and move(state, "expired") then
    redis.call("ZREM", ready_of(queue), id)
    redis.call("ZREM", scheduled_of(queue), id)
    redis.call("SREM", waiting_of(queue), id)
    keep(id, state)
    count("expired")
  end
end

local function head(set)
  return tonumber(redis.call("ZRANGE", set, 0, 0, "WITHSCORES")[2])
end

local queues = redis.call("ZRANGEBYSCORE", DUE, "-inf", now, "LIMIT", 0, limit)
for n, queue in ipairs(queues) do
  -- A share for each: the flood in one queue does not keep the others waiting.
  local share = math.ceil((limit - looked_at) / (#queues - n + 1))
  local late = due_in(expiring_of(queue), math.ceil(share / 2))
  local states, definitions = ask(STATES, late), ask(PAYLOADS, late)
  for i, id in ipairs(late) do
    if definitions[i] then expire(id, read_state(states[i]), definitions[i], queue) end
  end
  if #late > 0 then redis.call("ZREM", expiring_of(queue), unpack(late)) end

  local due = due_in(scheduled_of(queue), share - #late)
  states, definitions = ask(STATES, due), ask(PAYLOADS, due)
  for i, id in ipairs(due) do
    if definitions[i] then begin(id, read_state(states[i], "scheduled"), definitions[i]) end
  end
  if #due > 0 then redis.call("ZREM", scheduled_of(queue), unpack(due)) end
end
if has_marks() then looked_at = looked_at + limits().unpark(math.max(1, limit - looked_at)) end
write_all()

for _, queue in ipairs(queues) do
  local scheduled_head, expiring_head = head(scheduled_of(queue)), head(expiring_of(queue))
  if scheduled_head or expiring_head then
    redis.call("ZADD", DUE, math.min(scheduled_head or math.huge, expiring_head or math.huge), queue)
  else
    redis.call("ZREM", DUE, queue)
  end
end

local next_due = math.min(head(DUE) or math.huge, head(PARKED) or math.huge)
return { looked_at, next_due < math.huge and math.max(0, next_due - now) or -1 }
