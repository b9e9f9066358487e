-- forget: drop finished tasks that the database has recorded. Only the recorder calls this.
--
-- include: keys tasks
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] two for each task: id, version that was recorded
--
-- Returns how many were dropped; one that is open, or has moved on since, stays.

local ids = {}
for i = 1, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end

local dropped = {}
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  local state = states[n] and read_state(states[n])
  if state and state.version == ARGV[n * 2] and string.find(FINAL, " " .. state.status .. " ", 1, true) then
    dropped[#dropped + 1] = id
    local queue, _, expires = waits(definitions[n])
    if expires ~= "0" then redis.call("ZREM", expiring_of(queue), id) end
  end
end
if #dropped > 0 then
  redis.call("HDEL", PAYLOADS, unpack(dropped))
  redis.call("HDEL", STATES, unpack(dropped))
end
return #dropped
