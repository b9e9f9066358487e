-- forget: drop finished tasks that the database has recorded. Only the recorder calls this.
--
-- include: keys tasks remarks term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2...] three for each task: id, version that was recorded, 1 if it ended after its deadline
--
-- Returns how many were dropped; one that is open, or has moved on since, stays. The late ones are counted
-- here: each is dropped exactly once.

if is_over(ARGV[1]) then return LOST_LEAD end

local ids = {}
for i = 2, #ARGV, 3 do
  ids[#ids + 1] = ARGV[i]
end

local dropped, late = {}, 0
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  local status, version = string.match(states[n] or "", "^(%a+)|%d+|%d+|(%d+)|")
  if version == ARGV[n * 3] and is_final(status) then
    dropped[#dropped + 1] = id
    late = late + tonumber(ARGV[n * 3 + 1])
    local queue, _, expires = waits(definitions[n])
    if expires ~= "0" then redis.call("ZREM", expiring_of(queue), id) end
  end
end
if #dropped > 0 then
  redis.call("HDEL", PAYLOADS, unpack(dropped))
  redis.call("HDEL", STATES, unpack(dropped))
  redis.call("HDEL", MARKS, unpack(dropped))
  forget_remarks(dropped)
end
if late > 0 then redis.call("HINCRBY", COUNTERS, "late", late) end
return #dropped
