-- steal: hand tasks that an executor has not started over to an idle one, under the token that it offered.
--
-- include: keys clock tasks writes lease
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the executor that holds them
-- ARGV[2] the idle one that takes them
-- ARGV[3...] two for each task: id, token under which it is held
--
-- Returns the ids that changed hands. None if the taker offers no longer, or has been handed a task meanwhile;
-- one that is not held under that token, has started, or is of a queue that the taker does not serve is left
-- alone. Of big tasks only the first are handed over.
-- The taker is woken without a word of them: it withdraws its offer then, and finds what it holds.

local executor, taker, ids = ARGV[1], ARGV[2], {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end

local offered = redis.call("HGET", TAKERS, taker)
if not offered or taker == executor or not has_lease(taker) then return {} end

-- Whoever is woken is taken off: a taker that was handed a task is not idle on its queue any more.
local idle_on = {} -- queue -> whether it is
local function is_idle_on(queue)
  if idle_on[queue] == nil then
    local until_ms = redis.call("ZSCORE", idle_of(queue), taker)
    idle_on[queue] = until_ms ~= false and tonumber(until_ms) > now
  end
  return idle_on[queue]
end

ids = fitting(ids)
local stolen, held, new = {}, {}, {}
local tokens, states, definitions = ask(held_by(executor), ids), ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  if tokens[n] and tokens[n] == ARGV[n * 2 + 2] and definitions[n] and is_idle_on(waits(definitions[n])) then
    local written = assigned(states[n], "assigned", taker)
    if written then
      stolen[#stolen + 1] = id
      new[#new + 1] = id
      new[#new + 1] = written
      held[#held + 1] = id
      held[#held + 1] = offered
    end
  end
end
if #stolen == 0 then return {} end

redis.call("HDEL", held_by(executor), unpack(stolen))
hold(taker, new, held)
redis.call("HDEL", OFFERS, taker)
redis.call("HDEL", TAKERS, taker)
for queue in pairs(idle_on) do
  redis.call("ZREM", idle_of(queue), taker)
end
push_wake(taker, "1")
redis.call("HINCRBY", COUNTERS, "stolen", #stolen)
return stolen
