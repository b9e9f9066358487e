-- queues: the bound on how many there are, since each is looked at every second.

local admitted_queues = {} -- names that this call puts tasks under -> true
local new_queues = 0 -- of these, that were not there

-- Forget some names that nothing waits under; a pause is kept.
local MOST_LOOKED_AT = 20
local function drop_empty_queues()
  for _, queue in ipairs(redis.call("SRANDMEMBER", QUEUES, MOST_LOOKED_AT)) do
    if not admitted_queues[queue] and redis.call("SISMEMBER", PAUSED, queue) == 0
      and redis.call("EXISTS", ready_of(queue), scheduled_of(queue), waiting_of(queue)) == 0 then
      redis.call("SREM", QUEUES, queue)
      redis.call("HDEL", ARRIVALS, queue)
    end
  end
end

-- Whether a task may go to a queue: it is there, or one of `most` (0: no bound) that there may be.
local function has_room(queue, most)
  if most == 0 or admitted_queues[queue] then return true end
  if redis.call("SISMEMBER", QUEUES, queue) == 0 then
    if redis.call("SCARD", QUEUES) + new_queues >= most then drop_empty_queues() end
    if redis.call("SCARD", QUEUES) + new_queues >= most then return false end
    new_queues = new_queues + 1
  end
  admitted_queues[queue] = true
  return true
end
