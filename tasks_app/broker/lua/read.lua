-- read: what Redis knows of some tasks, at one moment.
--
-- include: keys tasks marks limits
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1...] ids
--
-- Returns {definitions, states}, each in the order of the ids; nil where there is none.

local states = ask(STATES, ARGV)
if has_marks() then limits().tell_waiting(ARGV, states) end
return { ask(PAYLOADS, ARGV), states }
