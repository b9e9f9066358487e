-- limits: whether those that wait for some limits could be admitted.
--
-- include: keys clock
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] keys of limits
--
-- Returns {server's time in ms, limits}; each is {label, first task in its line, how many more there is room
-- for, when it is looked at for a token (ms)}; "" where there is none.

-- As parts/limits.lua has it.
local function room_of(key, c, n, ms, full)
  local room = c > 0 and math.max(c - redis.call("SCARD", admitted_of(key)), 0) or 1000000
  if n == 0 or room == 0 then return room end
  local spent = (math.max(full, now) - now) * n / ms
  return math.min(room, math.max(math.floor(n - redis.call("SCARD", reserved_of(key)) - spent + 1e-6), 0))
end

local found = {}
for i = 1, #ARGV do
  local key = ARGV[i]
  local label, c, n, ms, full = unpack(redis.call("HMGET", limit_of(key), "label", "c", "n", "ms", "full"))
  local room = c and room_of(key, tonumber(c), tonumber(n), tonumber(ms), tonumber(full or 0)) or 1
  local head = redis.call("ZRANGE", line_of(key), 0, 0)[1] or ""
  local name = label and label ~= "" and label or key
  found[i] = { name, head, room, redis.call("ZSCORE", PARKED, key) or "" }
end
return { now, found }
