-- strays: which members of a container do not belong there.
--
-- include: keys tasks
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] what the container is: "queue", a sorted set of a queue's tasks, or "waiting", a set of them;
--   "held", what an executor holds;
--   "line", a sorted set of tasks with a limit, or "admitted", a set of them; or "states"
-- ARGV[2] its key
-- ARGV[3] its queue, the executor, or the key of the limit
-- ARGV[4] most bytes of definitions and states, after which no further member is looked at
-- ARGV[5...] members
--
-- Returns {members looked at, strays}. A stray is {member, whether Redis has its definition, queue of its
-- definition, key of its limit or owner in its state}; what has left the container by now is none.

local kind, container, home, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local bytes = 0

local function read(hash, id)
  local text = redis.call("HGET", hash, id) or ""
  bytes = bytes + #text
  return text
end

local function belongs_to(id)
  if kind == "line" or kind == "admitted" then
    local is_sound, mark = pcall(cjson.decode, read(MARKS, id))
    return is_sound and mark.l and mark.l.k or ""
  end
  if kind == "queue" or kind == "waiting" then return waits(read(PAYLOADS, id)) or "" end
  local state = read(STATES, id)
  return string.match(state, "^%a+|%d+|%d+|%d+|%d+|%d+|%d+|([^|]*)|") or ""
end

local function is_in(id)
  if kind == "queue" or kind == "line" then return redis.call("ZSCORE", container, id) end
  if kind == "waiting" or kind == "admitted" then return redis.call("SISMEMBER", container, id) == 1 end
  return redis.call("HEXISTS", container, id) == 1
end

local strays, looked_at = {}, 0
for i = 5, #ARGV do
  if bytes > most then break end
  local id = ARGV[i]
  looked_at = looked_at + 1
  if is_in(id) then
    local known = redis.call("HEXISTS", PAYLOADS, id)
    local at = kind == "states" and home or belongs_to(id)
    if known == 0 or at ~= home then strays[#strays + 1] = { id, known, at } end
  end
end
return { looked_at, strays }
