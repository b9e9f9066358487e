-- exchange: the hot path; finish a batch of held tasks, then claim the next ones.
--
-- include: keys clock tasks writes finish claim
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2] its worker, which must have a lease to claim
-- ARGV[3] request id, the token of all that is claimed here; a repeated call changes nothing
-- ARGV[4] most tasks to claim; 0 only finishes
-- ARGV[5] for how long the executor counts as idle if it gets less than that, ms; 0: not at all
-- ARGV[6] how many queues follow, N
-- ARGV[7...6+N] the queues to claim from
-- ARGV[7+N...] five for each task to finish: id, token, outcome ("completed", "failed", "retry",
--   "released"), pause before the retry or the release takes effect (ms), line for its attempts
--
-- Returns {stale, claimed}: the ids whose finish was dropped, since this executor does not hold them
-- under that token; and three for each claimed task, most urgent first: id, definition, state or "".
-- The latter is false when the worker has no lease: the executor then holds nothing new.

local executor, worker, request = ARGV[1], ARGV[2], ARGV[3]
local limit, idle_ms, queue_count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local queues = {}
for i = 7, 6 + queue_count do
  queues[#queues + 1] = ARGV[i]
end

local replies = base .. "reply:" .. executor -- string  last request id, newline, its stale ids
local last = redis.call("GET", replies)
if last and string.match(last, "^[^\n]*") == request then
  return { split(string.match(last, "\n(.*)$")), held_under(executor, request) }
end

local stale = finish_all(executor, 7 + queue_count)
write_all()
redis.call("SET", replies, request .. "\n" .. table.concat(stale, " "), "PX", 60000)

if limit == 0 then return { stale, {} } end
if not redis.call("ZSCORE", LEASES, worker) then return { stale, false } end
local claimed = claim(executor, request, queues, limit, idle_ms)
write_all()
return { stale, claimed }
