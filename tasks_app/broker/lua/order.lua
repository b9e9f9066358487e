-- order: leave an order for a worker or an agent, to be fetched with its next announcement; and ring its bell.
--
-- include: keys orders
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
-- ARGV[2] its id
-- ARGV[3] the order, JSON; a ticket in it tells it from all others
--
-- Returns 1, or 0 if nobody of that id is registered.

return leave_order(ARGV[1], ARGV[2], ARGV[3])
