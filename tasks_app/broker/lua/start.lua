-- start: publish that held tasks have started.
--
-- include: keys clock tasks marks unique limits writes
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2...] ids of tasks that it says it has started
--
-- Returns how many became processing; those that it does not hold, or that did so before, are left alone.

local ids = {}
for i = 2, #ARGV do
  ids[#ids + 1] = ARGV[i]
end

local started = 0
local tokens, states = ask(held_by(ARGV[1]), ids), ask(STATES, ids)
for n, id in ipairs(ids) do
  if tokens[n] then
    local state = read_state(states[n])
    if move(state, "processing", ARGV[1]) then
      state.starts = state.starts + 1
      keep(id, state)
      started = started + 1
    end
  end
end
write_all()
return started
