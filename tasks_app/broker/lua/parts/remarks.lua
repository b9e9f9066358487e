-- remarks: what a task has said of itself. In one hash there are three fields of a task: its id, with a line
-- "at|serial|dropped|token" (when, the last lines' number and who wrote them, lines that the bound has cost) and
-- its progress; "id:state", its checkpoint; and "id:log", lines. All but that one line is JSON for Python alone.

local REMARK = "^(%d+)|(%d+)|(%d+)|([^\n]*)\n([^\n]*)"

-- Write a task's remarks as the database has them: the id's field, its checkpoint and the log's lines, each after
-- a newline. Nothing if what is there is as new.
local function restore_remarks(id, text)
  if text == "" then return end
  local head, checkpoint, lines = string.match(text, "^([^\n]*\n[^\n]*)\n([^\n]*)\n(.*)$")
  local there = redis.call("HGET", REMARKS, id)
  if there and tonumber((string.match(there, REMARK))) >= tonumber((string.match(head, REMARK))) then return end
  redis.call("HSET", REMARKS, id, head, id .. ":state", checkpoint, id .. ":log", lines)
end

-- Costs one question as long as no task has said anything.
local function forget_remarks(ids)
  if #ids == 0 or redis.call("EXISTS", REMARKS) == 0 then return end
  for _, id in ipairs(ids) do
    redis.call("HDEL", REMARKS, id, id .. ":state", id .. ":log")
  end
end
