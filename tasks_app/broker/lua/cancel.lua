-- cancel: end open tasks, wherever they are.
--
-- include: keys clock tasks marks unique limits writes orders lease
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] line for their attempts
-- ARGV[2...] ids
--
-- Returns the status that each had before, "" for one that Redis does not know; a final one stays as it is.
-- Of big tasks only the first are looked at: the others are to be asked for again.
-- Who runs a cancelled task has lost its token: whatever he reports is stale. His worker is told to stop him.

local ids = {}
for i = 2, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
ids = fitting(ids)

local before = {}
local lost = {} -- executor -> ids that it held
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
if has_marks() then limits().tell_waiting(ids, states) end
for n, id in ipairs(ids) do
  if not definitions[n] then
    before[n] = ""
  else
    local state = read_state(states[n])
    local owner = state.owner
    before[n] = state.status
    if call_off(id, state, ARGV[1], before[n] == "processing" and state.starts) then
      local queue = waits(definitions[n])
      redis.call("ZREM", ready_of(queue), id)
      redis.call("ZREM", scheduled_of(queue), id)
      if before[n] == "waiting" then redis.call("SREM", waiting_of(queue), id) end
      redis.call("ZREM", expiring_of(queue), id)
      if owner ~= "" then
        redis.call("HDEL", held_by(owner), id)
        lost[owner] = lost[owner] or {}
        table.insert(lost[owner], id)
      end
    end
  end
end
write_all()
for executor, tasks in pairs(lost) do
  local ticket = time[1] .. "." .. time[2] -- these tasks are there once at any moment
  local order = cjson.encode({ order = "cancel", executor = executor, tasks = tasks, ticket = ticket })
  leave_order("workers", worker_of(executor), order)
end
return before
