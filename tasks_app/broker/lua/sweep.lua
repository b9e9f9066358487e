-- sweep: cancel a slice of what a purge has put aside.
--
-- include: keys aside clock tasks marks unique limits writes term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] most tasks to look at
-- ARGV[3] line for their attempts
--
-- Returns {tasks cancelled, 1 if more is put aside}.

if is_over(ARGV[1]) then return LOST_LEAD end

local set = redis.call("LINDEX", ASIDE, 0)
if not set then return { 0, 0 } end

-- Whether a task has left what was put aside: it was ended and retried meanwhile, and lives.
local function is_back(id, state, queue)
  if tonumber(state.run) == 1 then return false end
  return redis.call("ZSCORE", ready_of(queue), id) or redis.call("ZSCORE", scheduled_of(queue), id)
    or redis.call("SISMEMBER", waiting_of(queue), id) == 1
end

local ids = fitting(some_aside(set, tonumber(ARGV[2])))
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
local cancelled = 0
for n, id in ipairs(ids) do
  local state = read_state(states[n])
  if definitions[n] and state.owner == "" then
    local queue, _, expires = waits(definitions[n])
    if not is_back(id, state, queue) and call_off(id, state, ARGV[3]) then
      if expires ~= "0" then redis.call("ZREM", expiring_of(queue), id) end
      cancelled = cancelled + 1
    end
  end
end
write_all()
if #ids > 0 then take_aside(set, ids) end
if redis.call("EXISTS", set) == 0 then redis.call("LPOP", ASIDE) end
return { cancelled, redis.call("EXISTS", ASIDE) }
