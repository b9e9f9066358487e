-- bury: store tasks as cancelled that nobody else may submit meanwhile; so none of them ever runs.
--
-- include: keys clock tasks marks unique limits writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] moment after which the call is too late, ms
-- ARGV[2] line for their attempts
-- ARGV[3...] two for each task: id, definition
--
-- Returns {"ok"}, also if Redis knows some of them: those stay as they are. Or, with nothing stored, {"late"}.
-- They have no marks: a task that is over has no limit, and no key that others could meet.

if now > tonumber(ARGV[1]) then return { "late" } end

local payloads = {}
for i = 3, #ARGV, 2 do
  local id = ARGV[i]
  if redis.call("HEXISTS", PAYLOADS, id) == 0 then
    call_off(id, read_state(false), ARGV[2])
    payloads[#payloads + 1] = id
    payloads[#payloads + 1] = ARGV[i + 1]
  end
end
if #payloads > 0 then
  redis.call("HSET", PAYLOADS, unpack(payloads))
  count("submitted", #payloads / 2)
end
write_all()
return { "ok" }
