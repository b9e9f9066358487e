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
tell_waiting(ARGV, states)
return { ask(PAYLOADS, ARGV), states }
