-- tasks: read the two texts that make a task, and change its state by the table of moves.

-- The first line of a definition: "1|queue|rank|expires\n", written by message.py.
local function waits(definition)
  return string.match(definition, "^%d+|([^|]*)|(%-?%d+)|(%d+)\n")
end

local function ask(key, ids)
  if #ids == 0 then return {} end
  return redis.call("HMGET", key, unpack(ids))
end

-- Whether the moment by which a task had to begin has passed.
local function has_expired(definition)
  local _, _, expires = waits(definition)
  return expires ~= "0" and tonumber(expires) <= now
end

-- As many of the first ids as have definitions and states of so many bytes in all calls together, but at
-- least one: a thousand big tasks at once would make everybody else wait.
local MOST_BYTES = 8 * 1024 * 1024
local bytes_taken = 0
local function fitting(ids)
  for n, id in ipairs(ids) do
    local bytes = redis.call("HSTRLEN", PAYLOADS, id) + redis.call("HSTRLEN", STATES, id)
    if bytes_taken > 0 and bytes_taken + bytes > MOST_BYTES then return { unpack(ids, 1, n - 1) } end
    bytes_taken = bytes_taken + bytes
  end
  return ids
end

local HEADER = "^(%a+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(%d+)\n(.*)$"

-- The state as a table; that of a task which merely waits is not stored.
local function read_state(raw, waiting)
  if not raw then
    return { status = waiting or "pending", epoch = 1, run = 1, version = 1, starts = 0,
      failures = 0, crashes = 0, owner = "", changed = 0, attempts = "" }
  end
  local status, epoch, run, version, starts, failures, crashes, owner, changed, attempts =
    string.match(raw, HEADER)
  return { status = status, epoch = epoch, run = run, version = version, starts = starts,
    failures = failures, crashes = crashes, owner = owner, changed = changed, attempts = attempts }
end

local function is_final(status)
  return string.find(FINAL, " " .. status .. " ", 1, true) ~= nil
end

-- Whether the move is in the table of states.py; if so, made. A refused move changes nothing.
local function move(state, status, owner)
  if not string.find(MOVES, " " .. state.status .. ">" .. status .. " ", 1, true) then
    return false
  end
  state.status = status
  state.owner = owner or ""
  state.version = state.version + 1
  state.changed = now
  return true
end

-- Attempts are lines of JSON that only Python reads; the oldest go when they grow too long.
local LONGEST = 4 * 1024 * 1024 -- bytes

local function append(state, line)
  if line == "" then return end
  local attempts = state.attempts .. line .. "\n"
  while #attempts > LONGEST do
    local first = string.find(attempts, "\n", 1, true)
    if first == #attempts then break end
    attempts = string.sub(attempts, first + 1)
  end
  state.attempts = attempts
end

-- One line for tasks of many runs: add of which run it is, and of which start (0: nothing had started).
local function append_to_run(state, line, number)
  append(state, '{"run":' .. state.run .. ',"number":' .. number .. "," .. string.sub(line, 2))
end

local function header_of(s)
  return s.status .. "|" .. s.epoch .. "|" .. s.run .. "|" .. s.version .. "|" .. s.starts .. "|"
    .. s.failures .. "|" .. s.crashes .. "|" .. s.owner .. "|" .. s.changed .. "\n"
end

local function write_state(state)
  return header_of(state) .. state.attempts
end

-- The text of a state that an executor holds from now on; nothing if it was not as `before` says.
local function assigned(raw, before, executor)
  local state = read_state(raw)
  return state.status == before and move(state, "assigned", executor) and write_state(state)
end

-- Write down what an executor holds from now on: {id, state, ...} and {id, token, ...}.
local function hold(executor, states, tokens)
  redis.call("HSET", STATES, unpack(states))
  redis.call("HSET", held_by(executor), unpack(tokens))
end
