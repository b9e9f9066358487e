-- retry: open the next run of a finished task.
--
-- include: keys clock tasks remarks marks unique limits writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] id
-- ARGV[2] definition of the new run, ARGV[8] its mark ("": none), ARGV[9] its remarks, as the database has them
-- ARGV[3] status, ARGV[4] epoch, ARGV[5] run, ARGV[6] version, ARGV[7] attempts of the task as the database has
--   them; used if Redis has forgotten it
--
-- Returns {} when it is pending again, or waits for others, as its mark says; {status} if that does not allow
-- it; {status, other} if another task that is open has its unique key.

local id, definition = ARGV[1], ARGV[2]
local state = read_state(redis.call("HGET", STATES, id))
if redis.call("HEXISTS", PAYLOADS, id) == 0 then
  state.status, state.epoch, state.run, state.version = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  state.attempts = ARGV[7]
end

local before = state.status
if not is_final(before) then return { before } end
local mark = ARGV[8] ~= "" and cjson.decode(ARGV[8])
local asked = mark and mark.u
if asked and asked.ms > 0 then asked = nil end -- a period counts from a submit, which this is none
local owner = asked and unique().owner_of(asked.k)
if owner and owner ~= id and unique().open_task(owner) then return { before, owner } end
move(state, mark and mark.p and "waiting" or "pending")
state.run = state.run + 1
state.starts, state.failures, state.crashes = 0, 0, 0
keep(id, state)
if state.status == "waiting" then
  hold_back(id, definition)
else
  place(id, definition, now)
end
redis.call("HSET", PAYLOADS, id, definition)
restore_remarks(id, ARGV[9])
if asked then unique().own(asked, id, string.format("%.0f", now)) end
if mark and (mark.u or mark.l) then write_marks({ id, ARGV[8] }) end
count("submitted")
write_all()
return {}
