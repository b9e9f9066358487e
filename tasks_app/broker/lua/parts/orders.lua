-- orders: what a worker or an agent is to do; it fetches them with each announcement, or when its bell rings.
-- They lie there until it says that it has got them: so an answer that is lost on its way loses none.

local ORDER_MS = 60000 -- an order that nobody fetched for so long is of no use
local RING_MS = 10000
local MOST_ORDERS = 100 -- of one answer

-- Returns 1, or 0 if nobody of that id is registered. No two orders may have the same text.
local function leave_order(kind, id, order)
  if redis.call("HEXISTS", base .. kind, id) == 0 then return 0 end
  local orders, bell = orders_for(kind, id), bell_of(kind, id)
  redis.call("RPUSH", orders, order)
  redis.call("PEXPIRE", orders, ORDER_MS)
  if redis.call("EXISTS", bell) == 0 then redis.call("RPUSH", bell, "1") end -- it need not ring twice
  redis.call("PEXPIRE", bell, RING_MS)
  return 1
end

-- Returns the oldest orders, after dropping those that the receiver has got: so many, the last one of this digest.
-- If that one does not lie there, they were dropped before, or the server was rolled back: all stay.
local function orders_after(kind, id, count, digest)
  local orders = orders_for(kind, id)
  if digest ~= "" then
    local last = redis.call("LINDEX", orders, count - 1)
    if last and redis.sha1hex(last) == digest then redis.call("LTRIM", orders, count, -1) end
  end
  return redis.call("LRANGE", orders, 0, MOST_ORDERS - 1)
end
