-- tasks: all that one shard knows of some tasks, and where they stand, at one moment.
--
-- include: keys tasks
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] most bytes of definitions and states, after which no further task is looked at
-- ARGV[2...] ids
--
-- Returns for each of the ids, or for the first ones only: {definition, state, rank in ready, moment in
-- scheduled, moment in expiring, whether its owner holds it, whether its queue is listed, whether a purge has
-- put it aside, whether it is among those of its queue that wait for a limit, whether it stands in the line of
-- its limit, whether that has admitted it}; "" where there is none, or for no.

local MOST_ASIDE = 100 -- sets; a purge makes two at most

-- A key of another type is not this script's finding, and must not end it.
local function ask_for(...)
  local answer = redis.pcall(...)
  return type(answer) == "string" and answer or ""
end

local function is_in(set, id)
  return redis.pcall("SISMEMBER", set, id) == 1 and "1" or ""
end

local function is_put_aside(id)
  for _, set in ipairs(redis.call("LRANGE", ASIDE, 0, MOST_ASIDE - 1)) do
    if ask_for("ZSCORE", set, id) ~= "" or is_in(set, id) ~= "" then return "1" end
  end
  return ""
end

-- Whether it stands in the line of its limit, and whether that has admitted it.
local function standing(id)
  local mark = redis.call("HGET", MARKS, id)
  local is_sound, decoded = pcall(cjson.decode, mark or "{}")
  local limit = is_sound and type(decoded) == "table" and decoded.l
  if not limit then return "", "" end
  local line = ask_for("ZSCORE", line_of(limit.k), id)
  return line ~= "" and "1" or "", is_in(admitted_of(limit.k), id)
end

local function see(id)
  local definition = redis.call("HGET", PAYLOADS, id) or ""
  local state = redis.call("HGET", STATES, id) or ""
  local queue = waits(definition)
  local owner = string.match(state, "^%a+|%d+|%d+|%d+|%d+|%d+|%d+|([^|]+)|")
  local rank = queue and ask_for("ZSCORE", ready_of(queue), id) or ""
  local due = queue and ask_for("ZSCORE", scheduled_of(queue), id) or ""
  local expires = queue and ask_for("ZSCORE", expiring_of(queue), id) or ""
  local held = owner and redis.pcall("HEXISTS", held_by(owner), id) == 1 and "1" or ""
  local listed = queue and redis.call("SISMEMBER", QUEUES, queue) == 1 and "1" or ""
  local waiting = queue and is_in(waiting_of(queue), id) or ""
  local aside = rank == "" and due == "" and held == "" and waiting == "" and is_put_aside(id) or ""
  return { definition, state, rank, due, expires, held, listed, aside, waiting, standing(id) }
end

local found, bytes, most = {}, 0, tonumber(ARGV[1])
for i = 2, #ARGV do
  if bytes > most then break end
  local seen = see(ARGV[i])
  bytes = bytes + #seen[1] + #seen[2]
  found[#found + 1] = seen
end
return found
