-- admit: decide tasks that wait for others: each goes into its queue, or is cancelled.
--
-- include: keys clock tasks marks unique limits writes term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2...] five for each task: id, version at which it was looked at, moment before which it must not start
--   (ms; 0: at once), line for its attempts if it is cancelled ("": it is not), id of the task that is why ("":
--   it is none)
--
-- Returns the ids of those that were decided. Any other has been decided before, or has moved on since it was
-- looked at, or the task that is why is open again; so whatever is repeated or comes late changes nothing.

if is_over(ARGV[1]) then return LOST_LEAD end

local ids, decided = {}, {}
for i = 2, #ARGV, 5 do
  ids[#ids + 1] = ARGV[i]
end

-- Whether a task was retried since it ended badly: its next end decides then.
local function is_open(id)
  local definition, state = redis.call("HGET", PAYLOADS, id), redis.call("HGET", STATES, id)
  return definition and not is_final(read_state(state).status)
end

local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  local i = n * 5 - 3
  local state, definition = read_state(states[n]), definitions[n]
  local at, line = tonumber(ARGV[i + 2]), ARGV[i + 3]
  local is_due = definition and state.status == "waiting" and state.version == ARGV[i + 1]
    and not (ARGV[i + 4] ~= "" and is_open(ARGV[i + 4]))
  -- One that a purge has put aside stays there, and is cancelled by that.
  if is_due and redis.call("SREM", waiting_of(waits(definition)), id) == 1 then
    decided[#decided + 1] = id
    if line ~= "" then
      call_off(id, state, line)
      redis.call("ZREM", expiring_of(waits(definition)), id)
    else
      move(state, at > now and "scheduled" or "pending")
      place(id, definition, at)
      keep(id, state)
    end
  end
end
write_all()
return decided
