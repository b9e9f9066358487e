-- limit: how full the limit of a key is.
--
-- include: keys clock limits
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] key
-- ARGV[2] id of a task that has it
--
-- Returns nothing if the key has nothing to remember. Else {most tasks at once or 0, tasks that are admitted,
-- tokens or 0, how many of these are spent or reserved, when there is one again (ms; -1: there is one, or it
-- depends on who begins), how many tasks wait before this one or nil if it does not wait}.

local key = ARGV[1]
local limit = limits().read_numbers(key)
if not limit then return nil end

local spent, next_at = 0, -1
if limit.n > 0 then
  local reserved = redis.call("SCARD", reserved_of(key))
  spent = math.min(limit.n, math.ceil((limit.full - now) / limit.every - 1e-6) + reserved)
  if spent == limit.n and reserved < limit.n then
    next_at = math.ceil(limit.full - (limit.n - reserved - 1) * limit.every)
  end
end
return {
  limit.c, redis.call("SCARD", admitted_of(key)), limit.n, spent, next_at,
  redis.call("ZRANK", line_of(key), ARGV[2]),
}
