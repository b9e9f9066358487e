-- term: a leader's writes carry its term; those of one that was followed are refused.

local LOST_LEAD = redis.error_reply("LOSTLEAD somebody else leads")

-- Whether a higher term than `given` was seen here. 0 is no leader's: whoever says so is not asked.
local function is_over(given)
  if given == "0" then return false end
  local seen = tonumber(redis.call("GET", TERM) or 0)
  if tonumber(given) > seen then redis.call("SET", TERM, given) end
  return tonumber(given) < seen
end
