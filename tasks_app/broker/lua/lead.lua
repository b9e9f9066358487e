-- lead: become the leader if there is none, or stay it.
--
-- include: keys
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] who asks
-- ARGV[2] for how long to lead from now on, ms
-- ARGV[3] for how long a leader counts as having been there, ms
--
-- Returns {term, 1 if some leader was there within ARGV[3] before that term began}; the term is 0 if somebody
-- else leads, and grows with every change of leader.

local leader, seen = base .. "leader", base .. "led"
local holder = redis.call("GET", leader)
if holder and holder ~= ARGV[1] then return { 0, 1 } end
local was_led = redis.call("EXISTS", seen)
if holder then
  was_led = tonumber(redis.call("GET", seen) or 1) -- a call that is repeated is answered as the first
else
  redis.call("INCR", TERM)
end
redis.call("SET", leader, ARGV[1], "PX", ARGV[2])
redis.call("SET", seen, was_led, "PX", ARGV[3]) -- that it is there counts, for who leads next
return { tonumber(redis.call("GET", TERM)), was_led }
