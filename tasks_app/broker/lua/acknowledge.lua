-- acknowledge: drop changes that the database has. The stream's own memory of its last id stays.
--
-- include: keys term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] the first id of the stream to keep
--
-- Returns how many entries were dropped.

if is_over(ARGV[1]) then return LOST_LEAD end
local dropped = redis.call("XTRIM", CHANGES, "MINID", ARGV[2])
-- What is not in the stream though it is later than this was never written here: Redis was rolled back.
if dropped > 0 then redis.call("SET", RECORDED, ARGV[2]) end
return dropped
