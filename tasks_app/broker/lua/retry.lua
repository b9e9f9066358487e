-- retry: open the next run of a finished task.
--
-- include: keys clock tasks writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] id
-- ARGV[2] definition of the new run
-- ARGV[3] status, ARGV[4] epoch, ARGV[5] run, ARGV[6] version, ARGV[7] attempts of the task as the database has
--   them; used if Redis has forgotten it
--
-- Returns "" when it is pending again, else the status that does not allow it.

local id, definition = ARGV[1], ARGV[2]
local state = read_state(redis.call("HGET", STATES, id))
if redis.call("HEXISTS", PAYLOADS, id) == 0 then
  state.status, state.epoch, state.run, state.version = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  state.attempts = ARGV[7]
end

local before = state.status
if not string.find(FINAL, " " .. before .. " ", 1, true) then return before end
move(state, "pending")
state.run = state.run + 1
state.starts, state.failures, state.crashes = 0, 0, 0
keep(id, state)
place(id, definition, now)
redis.call("HSET", PAYLOADS, id, definition)
count("submitted")
write_all()
return ""
