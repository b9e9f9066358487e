-- answer: leave the answer to a request for whoever waits for it.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] the request's id
-- ARGV[2] the answer, JSON
-- ARGV[3] for how long it is of use, s
--
-- Returns nothing.

local answer = answer_to(ARGV[1])
redis.call("RPUSH", answer, ARGV[2])
redis.call("EXPIRE", answer, ARGV[3])
