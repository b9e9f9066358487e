-- marks: what a script has to know of the few tasks that have a unique key or limits.

local touched = {} -- key of a limit that may have got room -> what a task of its says of it, or true
local any_marks -- whether there are any; unknown until somebody asks

-- Whether any task has a mark. Costs one question a call.
local function has_marks()
  if any_marks == nil then any_marks = redis.call("EXISTS", MARKS) == 1 end
  return any_marks
end

-- Keep marks {id, text, ...}, without the label of a limit: the shorter they are, the faster they are read. And
-- without "p", which only says how the task begins: that it waits for others is its status then.
local function write_marks(marks)
  local short = {} -- text -> what is kept of it
  for i = 2, #marks, 2 do
    local text = marks[i]
    short[text] = short[text] or string.gsub(string.gsub(text, '"t":"[^"]*",', "", 1), '^{"p":1,', "{", 1)
    marks[i] = short[text]
  end
  redis.call("HSET", MARKS, unpack(marks))
  any_marks = true
end

local read_marks = {} -- text -> table: tasks of a type have much in common
local function read_mark(text)
  local mark = read_marks[text]
  if not mark then
    mark = cjson.decode(text)
    mark.text = text
    read_marks[text] = mark
  end
  return mark
end

-- The marks of some tasks: id -> table. Costs no more than has_marks() as long as no task has any.
local function marks_of(ids)
  local found = {}
  if #ids == 0 or not has_marks() then return found end
  for n, text in ipairs(ask(MARKS, ids)) do
    if text then found[ids[n]] = read_mark(text) end
  end
  return found
end

-- Those of some tasks that have marks, by them: table -> {id, ...}.
local function by_mark(ids)
  local found = {}
  if #ids == 0 or not has_marks() then return found end
  local last, some -- most often the next task has the same one
  for n, text in ipairs(ask(MARKS, ids)) do
    if text and text ~= last then
      local mark = read_mark(text)
      last, some = text, found[mark] or {}
      found[mark] = some
    end
    if text then some[#some + 1] = ids[n] end
  end
  return found
end
