-- limits, made when first called for: how many tasks of a key may be admitted at once, and how many of them may begin in some time.
--
-- A task with a limit is admitted when its key has room: it stands in ready then, or is held. All others
-- of the key wait in its line, where no claim has to look at them. What is admitted is kept by id, and never
-- only counted: whatever is repeated or comes late changes nothing.
--
-- Of a rate the key remembers the moment at which its bucket is full again (`full`, ms): what begins moves
-- that on by the time that one token takes. A token is spent when the task is claimed; what is admitted
-- has reserved one, so that no more can ever begin than there are tokens.

local MOST_ADMITTED = 1000 -- of a call
local budget = MOST_ADMITTED
local any_rates -- whether any key with admitted tasks has a rate; unknown until somebody asks

local function has_rates()
  if any_rates == nil then any_rates = redis.call("EXISTS", RATED) == 1 end
  return any_rates
end

-- Whether a purge has put tasks aside that are in their lines yet.
local is_purging_now
local function is_purging()
  if is_purging_now == nil then is_purging_now = redis.call("EXISTS", ASIDE) == 1 end
  return is_purging_now
end

-- The numbers of a key are those of the task that was submitted last. Its bucket is empty at most, and so full
-- again after `ms`: by the numbers before, it might be so much later.
local function write_numbers(limit)
  local key, label, n, ms = limit_of(limit.k), limit.t or "", limit.n or 0, limit.ms or 0
  redis.call("HSET", key, "c", limit.c or 0, "n", n, "ms", ms, "label", label)
  if n > 0 and tonumber(redis.call("HGET", key, "full") or 0) > now + ms then
    redis.call("HSET", key, "full", string.format("%.3f", now + ms))
  end
end

-- Returns {c: most tasks at once, or 0; n: tokens, or 0; every: ms for one token; full: ms; common: the mark
-- that all tasks in its line have, "" if there are several}; nothing if the key has nothing to remember.
local function read_numbers(key)
  local c, n, ms, full, common = unpack(redis.call("HMGET", limit_of(key), "c", "n", "ms", "full", "common"))
  if not c then return nil end
  n, full = tonumber(n), math.max(tonumber(full or 0), now)
  return { c = tonumber(c), n = n, every = n > 0 and ms / n or 0, full = full, common = common or "" }
end

-- The same; of a key with nothing to remember those of a task of its, or of the first one in its line.
local function numbers_of(key, limit)
  local found = read_numbers(key)
  if found then return found end
  if not limit then
    local head = redis.call("ZRANGE", line_of(key), 0, 0)
    local mark = marks_of(head)[head[1]]
    if not mark then return nil end
    limit = mark.l
  end
  write_numbers(limit)
  return read_numbers(key)
end

-- These tasks are neither in ready nor held any more, nor do they wait for that. `marks` as by_mark() tells.
local function leave(marks)
  for mark, ids in pairs(marks) do
    local limit = mark.l
    if limit then
      if redis.call("SREM", admitted_of(limit.k), unpack(ids)) < #ids then
        redis.call("ZREM", line_of(limit.k), unpack(ids))
      end
      if has_rates() then redis.call("SREM", reserved_of(limit.k), unpack(ids)) end
      touched[limit.k] = touched[limit.k] or limit
    end
  end
end

-- These tasks are somebody's from now on: each has spent its token. Costs one question as long as no key has
-- a rate.
local function spend(ids)
  if not has_rates() then return end
  for mark, gone in pairs(by_mark(ids)) do
    local key = mark.l and mark.l.k
    local limit = key and read_numbers(key)
    if limit and limit.n > 0 then
      redis.call("SREM", reserved_of(key), unpack(gone))
      redis.call("HSET", limit_of(key), "full", string.format("%.3f", limit.full + #gone * limit.every))
      touched[key] = touched[key] or true
    end
  end
end

-- How many more tasks of a key may be admitted beside so many that are, and so many reserved tokens; and when
-- that will be more (ms), if time alone decides.
local function room_for(limit, count, reserved)
  local room = limit.c > 0 and limit.c - count or math.huge
  if room <= 0 or limit.n == 0 then return room end
  local spent = (limit.full - now) / limit.every
  local tokens = math.floor(limit.n - reserved - spent + 1e-6)
  if tokens > 0 then return math.min(room, tokens) end
  -- With all tokens reserved the next one comes when one of them is spent.
  return 0, reserved < limit.n and math.ceil(limit.full - (limit.n - reserved - 1) * limit.every) or nil
end

-- The place of an admitted task: inside its priority it counts from now, not from its submit, and the keys
-- of a type take turns: the more of its own are admitted, the later it comes. A deadline that is still to
-- come stays one.
local ROUND_MS, MOST_ROUNDS = 1000, 100
local rank_texts = {} -- number -> text: many have it in common
local function rank_of(limit, rank, others)
  local from = now + limit.r
  if limit.d and tonumber(rank) > from then from = tonumber(rank) end
  if limit.p then from = from + math.min(others, MOST_ROUNDS) * ROUND_MS end
  rank_texts[from] = rank_texts[from] or string.format("%.0f", from)
  return rank_texts[from]
end

-- Note which mark the tasks in a line have, since some of `fresh` {id -> mark} come to it.
local function note_common(key, limit, line, fresh)
  local common = fresh[line[2]].text
  for i = 4, #line, 2 do
    if fresh[line[i]].text ~= common then common = "" end
  end
  if limit.common == common then return end
  if redis.call("EXISTS", line_of(key)) == 1 then common = "" end
  limit.common = common
  redis.call("HSET", limit_of(key), "common", common)
end

-- The first tasks of a line, out of it and out of where they wait: their ids, ranks and marks. `fresh` ones come
-- in this call, and wait nowhere yet. Any other that waits nowhere was put aside by a purge, which will cancel it.
local function drawn(key, limit, most, fresh)
  local ids, ranks, marks, heads = {}, {}, {}, redis.call("ZPOPMIN", line_of(key), most)
  local common = limit.common ~= "" and read_mark(limit.common)
  local is_plain = common and not next(fresh) and not is_purging()
  local known = {}
  for i = 1, #heads, 2 do
    known[#known + 1] = heads[i]
  end
  if is_plain and #known > 0 then redis.call("SREM", waiting_of(common.l.q), unpack(known)) end
  local others = common and {} or marks_of(known)
  for n, id in ipairs(known) do
    local mark = common or fresh[id] or others[id]
    if is_plain or fresh[id] or mark and redis.call("SREM", waiting_of(mark.l.q), id) == 1 then
      local last = #ids + 1
      ids[last], ranks[last], marks[last] = id, heads[n * 2], mark
    end
  end
  return ids, ranks, marks, #known
end

-- Tasks that come now, {rank, id, ...}, as drawn() would tell.
local function coming(line, fresh)
  local ids, ranks, marks = {}, {}, {}
  for i = 1, #line, 2 do
    local id = line[i + 1]
    local last = #ids + 1
    ids[last], ranks[last], marks[last] = id, line[i], fresh[id]
  end
  return ids, ranks, marks
end

-- Tasks of a key are admitted beside `count` others of it: into `ready`, and out of `fresh`.
local function let_in(key, limit, count, fresh, ready, ids, ranks, marks)
  if #ids == 0 then return end
  for n, id in ipairs(ids) do
    local its = marks[n].l
    local set = ready[its.q]
    if not set then
      set = {}
      ready[its.q] = set
    end
    set[#set + 1] = rank_of(its, ranks[n], count + n - 1)
    set[#set + 1] = id
    fresh[id] = nil
  end
  redis.call("SADD", admitted_of(key), unpack(ids))
  if limit.n > 0 then redis.call("SADD", reserved_of(key), unpack(ids)) end
end

-- Leave the key as it is to be found later, with so many admitted tasks: parked if it waits for a token or was
-- not done with, and gone if it has nothing to remember.
local function rest(key, limit, count, is_drained, at)
  local waits = not is_drained and (limit.n == 0 or redis.call("EXISTS", line_of(key)) == 1)
  if waits and at then
    redis.call("ZADD", PARKED, at, key)
  elseif limit.n > 0 then
    redis.call("ZREM", PARKED, key)
  end
  local is_used = count > 0 or waits
  if limit.n > 0 then
    redis.call(is_used and "SADD" or "SREM", RATED, key)
    any_rates = nil
  elseif not is_used and has_rates() then -- it had a rate before
    redis.call("ZREM", PARKED, key)
    redis.call("SREM", RATED, key)
    any_rates = nil
  end
  if is_used then
    if limit.n > 0 then redis.call("PERSIST", limit_of(key)) end
  elseif limit.full > now then
    redis.call("PEXPIRE", limit_of(key), math.ceil(limit.full - now))
  else
    redis.call("DEL", limit_of(key))
  end
end

-- Admit all that a key has room for, also of those that come now: {rank, id, ...}. Adds them to `ready`, and
-- takes them out of `fresh` {id -> mark}.
local function admit(key, of, line, fresh, ready)
  local limit = numbers_of(key, of)
  if not limit then return end
  local count = redis.call("SCARD", admitted_of(key))
  local reserved = limit.n > 0 and redis.call("SCARD", reserved_of(key)) or 0
  local room, at = room_for(limit, count, reserved)
  local is_drained = false
  local function let(ids, ranks, marks)
    let_in(key, limit, count, fresh, ready, ids, ranks, marks)
    count, reserved = count + #ids, reserved + #ids
    room, at = room_for(limit, count, reserved)
  end
  if line and #line / 2 <= math.min(room, budget) and redis.call("EXISTS", line_of(key)) == 0 then
    budget = budget - #line / 2
    let(coming(line, fresh))
    is_drained = true
  elseif line then
    note_common(key, limit, line, fresh)
    redis.call("ZADD", line_of(key), unpack(line))
  end
  while room > 0 and not is_drained do
    local most = math.min(room, budget)
    if most == 0 then
      at = now -- the promoter goes on
      break
    end
    local ids, ranks, marks, looked_at = drawn(key, limit, most, fresh)
    is_drained = looked_at < most
    budget = budget - looked_at
    let(ids, ranks, marks)
  end
  rest(key, limit, count, is_drained, at)
end

-- Those of `ready` {queue -> {rank, id, ...}} that have limits, taken out of it: id -> mark; and their lines:
-- key -> {rank, id, ...}.
local function limited_in(ready)
  local fresh, lines = {}, {}
  for queue, set in pairs(ready) do
    local ids, others = {}, {}
    for i = 2, #set, 2 do
      ids[#ids + 1] = set[i]
    end
    local marks = marks_of(ids)
    for i = 1, #set, 2 do
      local rank, id = set[i], set[i + 1]
      local limit = marks[id] and marks[id].l
      local home = others
      if limit then
        fresh[id] = marks[id]
        lines[limit.k] = lines[limit.k] or {}
        home = lines[limit.k]
        touched[limit.k] = touched[limit.k] or limit
      end
      home[#home + 1] = rank
      home[#home + 1] = id
    end
    ready[queue] = #others > 0 and others or nil
  end
  return fresh, lines
end

-- Let those tasks of `ready` that have limits wait for a place, and admit all that there is room for, which are
-- in it then. Returns those that have to wait: id -> mark.
local function line_up(ready)
  local fresh, lines = limited_in(ready)
  local keys = touched
  touched = {}
  for key, limit in pairs(keys) do
    admit(key, limit ~= true and limit, lines[key], fresh, ready)
  end
  return fresh
end

-- Whether a task waits in its line or stands in ready is not written in its state: it is pending both ways.
-- Tell it in `states`, which are those of `ids`.
local FIRST = "pending|1|1|1|0|0|0||0\n" -- stands for none
local function tell_waiting(ids, states)
  local pending, at = {}, {}
  for n, id in ipairs(ids) do
    if not states[n] or string.sub(states[n], 1, 8) == "pending|" then
      pending[#pending + 1] = id
      at[id] = n
    end
  end
  for mark, some in pairs(by_mark(pending)) do
    for n, rank in ipairs(mark.l and redis.call("ZMSCORE", line_of(mark.l.k), unpack(some)) or {}) do
      local i = at[some[n]]
      if rank then states[i] = "waiting" .. string.sub(states[i] or FIRST, 8) end
    end
  end
end

-- Keys that have a token by now may have room: write_all() will see.
local MOST_UNPARKED = 100
local function unpark(most)
  local due = redis.call("ZRANGEBYSCORE", PARKED, "-inf", now, "LIMIT", 0, math.min(most, MOST_UNPARKED))
  for _, key in ipairs(due) do
    redis.call("ZREM", PARKED, key)
    touched[key] = touched[key] or true
  end
  return #due
end
