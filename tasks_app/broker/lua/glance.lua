-- glance: how some tasks and the newest that changed look at this moment, in a few bytes each.
--
-- include: keys tasks marks limits
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] how many of the newest tasks to add, by id, from the last entries of the changes
-- ARGV[2...] ids
--
-- Returns {id, head of its definition, header of its state} of each that is known; the header is "" if
-- it merely waits.

local ENTRIES = 20 -- of the changes; each names at most 1,000 tasks
local ENOUGH = 1000 -- ids, after which no further entry is looked at
local HEAD = 2048 -- bytes: the first line and the first fields, whatever the size of the payload

local asked, newest, most = {}, {}, tonumber(ARGV[1])
for i = 2, #ARGV do
  asked[ARGV[i]] = true
end

-- Up to `most` ids, the greatest first. Nearly all of the many that pass by are smaller than the last one.
local function note(id)
  local n = #newest
  if n == most and (n == 0 or id <= newest[n]) then return end
  local at = n + 1
  while at > 1 and newest[at - 1] <= id do
    at = at - 1
  end
  if newest[at] == id then return end
  table.insert(newest, at, id)
  newest[most + 1] = nil
end

local seen = 0
for _, entry in ipairs(redis.call("XREVRANGE", CHANGES, "+", "-", "COUNT", ENTRIES)) do
  if seen > ENOUGH then break end
  for id in string.gmatch(entry[2][2], "%S+") do
    note(id)
    seen = seen + 1
  end
end

for _, id in ipairs(newest) do
  asked[id] = true
end

local ids = {}
for id in pairs(asked) do
  ids[#ids + 1] = id
end
local definitions, states, found = ask(PAYLOADS, ids), ask(STATES, ids), {}
if has_marks() then limits().tell_waiting(ids, states) end
for n, id in ipairs(ids) do
  if definitions[n] then
    local header = states[n] and string.match(states[n], "^[^\n]*") or ""
    found[#found + 1] = { id, string.sub(definitions[n], 1, HEAD), header }
  end
end
return found
