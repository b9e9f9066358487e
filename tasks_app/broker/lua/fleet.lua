-- fleet: the registers of the workers or of the agents.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] "workers" or "agents"
--
-- Returns {server's time in ms, register}; the register has three for each: id, what it said of itself
-- (JSON), until when its silence is believed (ms; "" once it was reaped).

local kind = ARGV[1]
local leases = leases_of(kind)
local register = {}
local said = redis.call("HGETALL", base .. kind)
for i = 1, #said, 2 do
  register[#register + 1] = said[i]
  register[#register + 1] = said[i + 1]
  register[#register + 1] = redis.call("ZSCORE", leases, said[i]) or ""
end
return { now, register }
