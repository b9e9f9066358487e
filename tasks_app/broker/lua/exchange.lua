-- exchange: the hot path; finish a batch of held tasks, then claim the next ones.
--
-- include: keys clock tasks marks unique limits writes finish claim
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2] its worker, which must have announced it to let it claim: a reaper looks nowhere else
-- ARGV[3] request id, the token of all that is claimed here; a repeated call changes nothing
-- ARGV[4] most tasks to claim; 0 only finishes
-- ARGV[5] for how long the executor counts as idle if it gets less than that, ms; 0: not at all
-- ARGV[6] token, one word, under which it may then be handed one task by whoever wakes it, if it claims from
--   one queue only; "" for none
-- ARGV[7] 1 if it may also be handed stolen tasks under that token
-- ARGV[8] token of an earlier offer of its, which ends now; "" for none
-- ARGV[9] how many queues follow, N
-- ARGV[10...9+N] the queues to claim from
-- ARGV[10+N...] five for each task to finish: id, token, outcome ("completed", "failed", "retry",
--   "released"; "turned_away" if it had not begun, whatever was published; "snoozed", or "snoozed_again" if the
--   line takes the last one's place), pause before it may run again (ms), line for its attempts
--
-- Returns {stale, claimed, token}: the ids whose finish was dropped, since this executor does not hold them
-- under that token; three for each claimed task, most urgent first: id, definition, state or ""; and the token
-- under which these are held: the request, or the earlier offer, if something came for that. Then nothing more
-- is claimed. The second is false when the worker has not announced the executor, or has lost its lease since.

local executor, worker, request, former = ARGV[1], ARGV[2], ARGV[3], ARGV[8]
local limit, idle_ms, queue_count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[9])
local queues = {}
for i = 10, 9 + queue_count do
  queues[#queues + 1] = ARGV[i]
end

local replies = base .. "reply:" .. executor -- string  three lines of the last call, for 60 s:
local last = redis.call("GET", replies) or "\n0\n" -- its request id, "1" if it is idle, its stale ids
local last_request, idle, last_stale = string.match(last, "^(.-)\n(.)\n(.*)$")
if last_request == request then
  local came = former ~= "" and held_under(executor, former) or {}
  if #came > 0 then return { split(last_stale), came, former } end
  return { split(last_stale), held_under(executor, request), request }
end

local stale = finish_all(executor, 10 + queue_count)
if limit > 0 and has_marks() then limits().unpark(limits().MOST_UNPARKED) end
write_all()

local claimed = former ~= "" and end_offer(executor, former) or {}
local token = #claimed > 0 and former or request
if #claimed == 0 and limit > 0 then
  if redis.call("SISMEMBER", executors_of(worker), executor) == 1 then
    claimed = claim(executor, request, queues, limit)
    write_all()
    local for_ms = #claimed / 3 < limit and idle_ms or 0
    idle = register(executor, queues, for_ms, idle, ARGV[6], ARGV[7] == "1")
  else
    claimed = false
  end
end
redis.call("SET", replies, request .. "\n" .. idle .. "\n" .. table.concat(stale, " "), "PX", 60000)
return { stale, claimed, token }
