-- keys: the names of everything in one shard, built from its anchor KEYS[1], "dtps:{s0}".

local base = KEYS[1] .. ":"
local PAYLOADS = base .. "payloads" -- hash  task id -> definition, never changed
local STATES = base .. "states" -- hash  task id -> header, newline, attempts; none while a task merely waits
local CHANGES = base .. "changes" -- stream  one entry a call: ids "a b c" of the tasks that changed
local RECORDED = base .. "recorded" -- string  the first id of the stream that was not acknowledged
local COUNTERS = base .. "counters" -- hash  name -> how often since the last reset
local QUEUES = base .. "queues" -- set  every queue that ever held a task
local PAUSED = base .. "paused" -- set  the queues that give nothing out
local DUE = base .. "due" -- zset  queue -> when the promoter has to look at it next, ms
local OFFERS = base .. "offers" -- hash  idle executor -> token of the task that it may be handed
local TAKERS = base .. "takers" -- hash  idle executor -> token of tasks that may be stolen for it
local ARRIVALS = base .. "arrivals" -- hash  queue -> tasks ever submitted
local DEMAND = base .. "demand" -- hash  queue -> what the leader tells of it, JSON; for 10 s
local TERM = base .. "term" -- string  the highest term of a leader that was seen here
local EPOCH = base .. "epoch" -- string  number, grows when what was lost has been restored
local GATE = base .. "gate" -- string  run id of the server that a leader has found sound
local DECISIONS = base .. "decisions" -- list  what the autoscalers decided, JSON, newest first
local ASIDE = base .. "aside" -- list  sorted sets that a purge has put aside

local function ready_of(queue) return base .. "q:" .. queue .. ":ready" end -- zset  task id -> rank
local function scheduled_of(queue) return base .. "q:" .. queue .. ":scheduled" end -- zset  task id -> ms
local function expiring_of(queue) return base .. "q:" .. queue .. ":expiring" end -- zset  task id -> ms
local function idle_of(queue) return base .. "q:" .. queue .. ":idle" end -- zset  executor -> until, ms
local function held_by(executor) return base .. "held:" .. executor end -- hash  task id -> token
local function wake_of(executor) return base .. "wake:" .. executor end -- list  one token a wake-up
local function answer_to(request) return base .. "answer:" .. request end -- list  one answer, JSON; for 30 s
local function executors_of(worker) return base .. "executors:" .. worker end -- set  executor ids
-- Of the workers and of the agents, who may have the same names:
local function leases_of(kind) return base .. kind .. ":leases" end -- zset  id -> until when it is believed, ms
local function orders_for(kind, id) return base .. kind .. ":orders:" .. id end -- list  orders, JSON
local function bell_of(kind, id) return base .. kind .. ":bell:" .. id end -- list  an entry if orders came
