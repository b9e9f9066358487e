-- orders: what a worker or an agent is to do; it fetches them with each announcement, or when its bell rings.

local ORDER_MS = 60000 -- an order that nobody fetched for so long is of no use
local RING_MS = 10000

-- Returns 1, or 0 if nobody of that id is registered.
local function leave_order(kind, id, order)
  if redis.call("HEXISTS", base .. kind, id) == 0 then return 0 end
  local orders, bell = orders_for(kind, id), bell_of(kind, id)
  redis.call("RPUSH", orders, order)
  redis.call("PEXPIRE", orders, ORDER_MS)
  if redis.call("EXISTS", bell) == 0 then redis.call("RPUSH", bell, "1") end -- it need not ring twice
  redis.call("PEXPIRE", bell, RING_MS)
  return 1
end
