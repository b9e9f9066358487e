-- glance: how some tasks and the newest that changed look at this moment, in a few bytes each.
--
-- include: keys tasks
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] how many of the newest tasks to add, by id, from the last entries of the changes
-- ARGV[2...] ids
--
-- Returns {id, head of its definition, header of its state} of each that is known; the header is "" if
-- it merely waits.

local ENTRIES = 20 -- of the changes; each names at most 1,000 tasks
local HEAD = 2048 -- bytes: the first line and the first fields, whatever the size of the payload

local asked, newest = {}, {}
for i = 2, #ARGV do
  asked[ARGV[i]] = true
end
for _, entry in ipairs(redis.call("XREVRANGE", CHANGES, "+", "-", "COUNT", ENTRIES)) do
  for id in string.gmatch(entry[2][2], "%S+") do
    newest[id] = true
  end
end

local sorted = {}
for id in pairs(newest) do
  sorted[#sorted + 1] = id
end
table.sort(sorted, function(a, b) return a > b end)
for i = 1, math.min(#sorted, tonumber(ARGV[1])) do
  asked[sorted[i]] = true
end

local ids = {}
for id in pairs(asked) do
  ids[#ids + 1] = id
end
local definitions, states, found = ask(PAYLOADS, ids), ask(STATES, ids), {}
for n, id in ipairs(ids) do
  if definitions[n] then
    local header = states[n] and string.match(states[n], "^[^\n]*") or ""
    found[#found + 1] = { id, string.sub(definitions[n], 1, HEAD), header }
  end
end
return found
