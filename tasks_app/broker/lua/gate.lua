-- gate: let executors in on the server of a run id: what it holds is sound.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] the run id
--
-- Returns nothing.

if is_over(ARGV[1]) then return LOST_LEAD end
redis.call("SET", GATE, ARGV[2])
