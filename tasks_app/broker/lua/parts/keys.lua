-- keys: the names of everything in one shard, built from its anchor KEYS[1], "dtps:{s0}".

local base = KEYS[1] .. ":"
local PAYLOADS = base .. "payloads" -- hash  task id -> definition; changed by amend and retry alone
local STATES = base .. "states" -- hash  task id -> header, newline, attempts; none while a task merely waits
local MARKS = base .. "marks" -- hash  task id -> its unique key and its limits, JSON; of the few that have some
local REMARKS = base .. "remarks" -- hash  task id, id:state, id:log -> what a few tasks said: see remarks.lua
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
local CONFIRMED = base .. "confirmed" -- string  a mark that is waited for: see confirm.lua
local RATED = base .. "rated" -- set  keys of limits with a rate that have tasks to admit, or admitted ones
local PARKED = base .. "parked" -- zset  key of a limit that waits for a token -> when it has one, ms
local ASIDE = base .. "aside" -- list  sets, sorted or not, that a purge has put aside

local function ready_of(queue) return base .. "q:" .. queue .. ":ready" end -- zset  task id -> rank
local function scheduled_of(queue) return base .. "q:" .. queue .. ":scheduled" end -- zset  task id -> ms
local function waiting_of(queue) return base .. "q:" .. queue .. ":waiting" end -- set  ids; for a limit, or others
local function expiring_of(queue) return base .. "q:" .. queue .. ":expiring" end -- zset  task id -> ms
local function idle_of(queue) return base .. "q:" .. queue .. ":idle" end -- zset  executor -> until, ms
local function held_by(executor) return base .. "held:" .. executor end -- hash  task id -> token
local function wake_of(executor) return base .. "wake:" .. executor end -- list  one token a wake-up
local function answer_to(request) return base .. "answer:" .. request end -- list  one answer, JSON; for 30 s
local function executors_of(worker) return base .. "executors:" .. worker end -- set  executor ids
local function unique_of(key) return base .. "unique:" .. key end -- string  task id, ms of the first submit
local function promise_of(key) return base .. "promise:" .. key end -- string  task id, digest of what was asked
local function limit_of(key) return base .. "limit:" .. key end -- hash  the numbers of a limit: see limits.lua
local function line_of(key) return base .. "limit:" .. key .. ":line" end -- zset  id -> rank; they wait
local function admitted_of(key) return base .. "limit:" .. key .. ":admitted" end -- set  task ids
local function reserved_of(key) return base .. "limit:" .. key .. ":reserved" end -- set  ids; they have a token
-- Of the workers and of the agents, who may have the same names:
local function leases_of(kind) return base .. kind .. ":leases" end -- zset  id -> until when it is believed, ms
local function orders_for(kind, id) return base .. kind .. ":orders:" .. id end -- list  orders, JSON
local function bell_of(kind, id) return base .. kind .. ":bell:" .. id end -- list  an entry if orders came
