-- release: give tasks that an executor holds, but has not started or was interrupted at, back to
-- their place.
--
-- include: keys clock tasks marks unique limits writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2...] two for each task: id, token
--
-- Returns {tasks looked at, ids that went back}; one that is not held under that token is left alone. Of big
-- tasks only the first are looked at.

local executor, ids = ARGV[1], {}
for i = 2, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
ids = fitting(ids)

local released = {}
local tokens, states, definitions = ask(held_by(executor), ids), ask(STATES, ids), ask(PAYLOADS, ids)
for n, id in ipairs(ids) do
  if tokens[n] and tokens[n] == ARGV[n * 2 + 1] then
    local state = read_state(states[n])
    if move(state, "pending") then
      keep(id, state)
      place(id, definitions[n], now)
      released[#released + 1] = id
    end
  end
end
if #released > 0 then redis.call("HDEL", held_by(executor), unpack(released)) end
write_all()
return { #ids, released }
