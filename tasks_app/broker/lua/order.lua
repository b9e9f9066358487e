-- order: leave an order for a worker or an agent, to be fetched with its next announcement.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
-- ARGV[2] its id
-- ARGV[3] the order, JSON
--
-- Returns 1, or 0 if nobody of that id is registered.

local ORDER_MS = 60000 -- an order that nobody fetched for so long is of no use

if redis.call("HEXISTS", base .. ARGV[1], ARGV[2]) == 0 then return 0 end
local orders = orders_for(ARGV[1], ARGV[2])
redis.call("RPUSH", orders, ARGV[3])
redis.call("PEXPIRE", orders, ORDER_MS)
return 1
