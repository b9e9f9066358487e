-- epoch: begin a new epoch: what was lost is about to be restored.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] the epoch
--
-- Returns the epoch from now on; it never falls.

if is_over(ARGV[1]) then return LOST_LEAD end
if tonumber(ARGV[2]) > tonumber(redis.call("GET", EPOCH) or 0) then redis.call("SET", EPOCH, ARGV[2]) end
return tonumber(redis.call("GET", EPOCH))
