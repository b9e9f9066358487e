-- reconcile: after Redis was wiped or rolled back, bring tasks to where the database has seen them.
--
-- include: keys aside clock tasks remarks marks unique limits writes term
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] term of the leader; 0 for none
-- ARGV[2] the new epoch
-- ARGV[3] line for the attempts of each task that is restored
-- ARGV[4] 1 to change nothing, and only tell
-- ARGV[5...] six for each task as the database has it: id, definition, state, moment before which it must
--   not start (ms; 0: at once), mark ("": none), remarks ("": none); of a final one the header
--   of its state is enough
--
-- Returns what was done with each, in their order; of big tasks only with the first:
--   "kept"      Redis is as new, or newer, or has rightly forgotten it; nothing was changed
--   "restored"  Redis had lost it, or is older, and it is open: it waits again, in the new epoch
--   "dropped"   Redis had it open, though it is final: Redis knows it no longer

if is_over(ARGV[1]) then return LOST_LEAD end
local epoch, line, only_tells = tonumber(ARGV[2]), ARGV[3], ARGV[4] == "1"

local ids = {}
for i = 5, #ARGV, 6 do
  ids[#ids + 1] = ARGV[i]
end
ids = fitting(ids)

-- Less than 0 if `a` is of an earlier run than `b`, more if of a later one.
local function compare_runs(a, b)
  local epochs = a.epoch - b.epoch
  return epochs ~= 0 and epochs or a.run - b.run
end

-- Whether what Redis has is not behind the record. Within one run what is final stays so, whatever the
-- versions say: after a rollback Redis may have gone another way.
local function is_sound(state, recorded)
  local runs = compare_runs(state, recorded)
  if runs ~= 0 then return runs > 0 end
  if is_final(recorded.status) then return is_final(state.status) and state.version - recorded.version == 0 end
  return state.version - recorded.version >= 0
end

local function verdict(definition, state, recorded)
  if definition and is_sound(state, recorded) then return "kept" end
  if not is_final(recorded.status) then return "restored" end
  return definition and "dropped" or "kept"
end

local function remove(id, definition, owner)
  local queue = waits(definition)
  redis.call("ZREM", ready_of(queue), id)
  redis.call("ZREM", scheduled_of(queue), id)
  redis.call("SREM", waiting_of(queue), id)
  redis.call("ZREM", expiring_of(queue), id)
  limits().leave(by_mark({ id }))
  for _, set in ipairs(redis.call("LRANGE", ASIDE, 0, -1)) do
    take_aside(set, { id }) -- a purge of before the roll-back is not meant for what came after
  end
  if owner ~= "" then redis.call("HDEL", held_by(owner), id) end
end

local restored = {} -- id -> true

-- Write down what a restored task's mark says. Of two tasks with one key the later one has it; periods begin
-- anew.
local function restore_mark(id, text)
  local mark = cjson.decode(text)
  if mark.u or mark.l then write_marks({ id, text }) end
  local owner = mark.u and unique().owner_of(mark.u.k)
  if mark.u and not (owner and owner > id and (restored[owner] or unique().open_task(owner))) then
    unique().own(mark.u, id, string.format("%.0f", now))
  end
  if mark.i then unique().promise(mark.i, id) end
end

-- A task that may wait for others does so, until somebody has looked at them again.
local function restore(id, definition, recorded, at, mark)
  local waiting = recorded.status == "retrying" and "retrying" or "scheduled"
  local has_parents = recorded.status == "waiting" and mark ~= "" and cjson.decode(mark).p
  recorded.status = has_parents and "waiting" or at > now and waiting or "pending"
  recorded.epoch, recorded.version = epoch, recorded.version + 1
  recorded.owner, recorded.changed = "", now
  append_to_run(recorded, line, 0)
  keep(id, recorded)
  if has_parents then
    hold_back(id, definition)
  else
    place(id, definition, at)
  end
  redis.call("HSET", PAYLOADS, id, definition)
end

local done = {}
local states, definitions = ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  local i = n * 6 - 1
  local state, recorded = read_state(states[n]), read_state(ARGV[i + 2] ~= "" and ARGV[i + 2])
  done[n] = verdict(definitions[n], state, recorded)
  if not only_tells and done[n] ~= "kept" then
    if definitions[n] then remove(id, definitions[n], state.owner) end
    if done[n] == "restored" then
      restore(id, ARGV[i + 1], recorded, tonumber(ARGV[i + 3]), ARGV[i + 4])
      restored[id] = true
      if ARGV[i + 4] ~= "" then restore_mark(id, ARGV[i + 4]) end
      restore_remarks(id, ARGV[i + 5])
    else
      unique().let_go(by_mark({ id }))
      redis.call("HDEL", PAYLOADS, id)
      redis.call("HDEL", STATES, id)
      redis.call("HDEL", MARKS, id)
      forget_remarks({ id })
    end
  end
end
write_all()
return done
