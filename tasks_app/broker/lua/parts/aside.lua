-- aside: what a purge has put aside: sorted sets of ready and scheduled tasks, sets of waiting ones.

local function is_sorted(set)
  return not string.find(set, ":waiting$")
end

local function some_aside(set, most)
  if is_sorted(set) then return redis.call("ZRANGE", set, 0, most - 1) end
  return redis.call("SRANDMEMBER", set, most)
end

local function take_aside(set, ids)
  redis.call(is_sorted(set) and "ZREM" or "SREM", set, unpack(ids))
end
