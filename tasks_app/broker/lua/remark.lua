-- remark: keep what running tasks say of themselves: progress, a checkpoint, lines of a log.
--
-- include: keys clock tasks remarks
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2] most lines of a task that are kept
-- ARGV[3] most bytes of them
-- ARGV[4] 1 to let the recorder know, so that the database has it too
-- ARGV[5...] six for each task, each once: id, token, number of the lines (under this token; a repeated call
--   adds none), progress ("": as it was), checkpoint ("": as it was), lines, each with a newline at its end
--
-- Returns the ids of those that this executor does not hold under that token: of these nothing was kept.

local executor, most_lines, most_bytes, tells = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == "1"

-- The newest lines that the bounds allow, and how many older ones that cost.
local function bounded(lines)
  local _, count = string.gsub(lines, "\n", "")
  local dropped = 0
  while count - dropped > most_lines or #lines > most_bytes do
    lines = string.sub(lines, string.find(lines, "\n", 1, true) + 1)
    dropped = dropped + 1
  end
  return lines, dropped
end

local ids = {}
for i = 5, #ARGV, 6 do
  ids[#ids + 1] = ARGV[i]
end

local refused, kept = {}, {}
local tokens, there = ask(held_by(executor), ids), ask(REMARKS, ids)
for n, id in ipairs(ids) do
  local token, number, progress, checkpoint, lines = unpack(ARGV, n * 6, n * 6 + 4)
  if not tokens[n] or tokens[n] ~= token then
    refused[#refused + 1] = id
  else
    local _, serial, dropped, writer, before = string.match(there[n] or "0|0|0|\n", REMARK)
    if lines ~= "" and not (writer == token and serial == number) then
      local all, cost = bounded((redis.call("HGET", REMARKS, id .. ":log") or "") .. lines)
      redis.call("HSET", REMARKS, id .. ":log", all)
      serial, dropped, writer = number, dropped + cost, token
    end
    if checkpoint ~= "" then redis.call("HSET", REMARKS, id .. ":state", checkpoint) end
    local head = now .. "|" .. serial .. "|" .. dropped .. "|" .. writer .. "\n"
    redis.call("HSET", REMARKS, id, head .. (progress ~= "" and progress or before))
    kept[#kept + 1] = id
  end
end
if tells and #kept > 0 then redis.call("XADD", CHANGES, "*", "ids", table.concat(kept, " ")) end
return refused
