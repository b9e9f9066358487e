-- demand: what workers need to know of their queues to choose their size, instead of what was kept before.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] for how long it is good, s
-- ARGV[3...] two for each queue: its name, JSON
--
-- Returns nothing.

if is_over(ARGV[1]) then return LOST_LEAD end

redis.call("DEL", DEMAND)
for i = 3, #ARGV, 2 do
  redis.call("HSET", DEMAND, ARGV[i], ARGV[i + 1])
end
redis.call("EXPIRE", DEMAND, ARGV[2])
