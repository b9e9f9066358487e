-- taker: find an idle executor that takes stolen tasks.
--
-- include: keys clock lease
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the worker that has tasks to give away; an executor of its own is preferred
-- ARGV[2] its executor that holds them
-- ARGV[3...] their queues, all of which the taker must serve
--
-- Returns the executor, or "" if there is none among those that were looked at.

local MOST_LOOKS = 32

-- Until when an executor is idle on a queue.
local function idle_until(queue, executor)
  return tonumber(redis.call("ZSCORE", idle_of(queue), executor) or 0)
end

local function serves_all(executor)
  for i = 3, #ARGV do
    if idle_until(ARGV[i], executor) <= now then return false end
  end
  return true
end

-- Who serves all the queues is idle on the one with the fewest.
local fewest, rarest = math.huge, nil
for i = 3, #ARGV do
  local size = redis.call("ZCARD", idle_of(ARGV[i]))
  if size < fewest then
    fewest, rarest = size, ARGV[i]
  end
end
if fewest == 0 or not rarest then return "" end

local found = ""
for _, executor in ipairs(redis.call("ZREVRANGE", idle_of(rarest), 0, MOST_LOOKS - 1)) do
  if executor ~= ARGV[2] and redis.call("HEXISTS", TAKERS, executor) == 1 and serves_all(executor)
    and has_lease(executor) then
    if worker_of(executor) == ARGV[1] then return executor end
    found = found == "" and executor or found
  end
end
return found
