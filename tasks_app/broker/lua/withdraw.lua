-- withdraw: an idle executor was not woken in time, or does not know; its offer ends.
--
-- include: keys tasks claim
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] executor
-- ARGV[2] the token that it offered
--
-- Returns what it was handed under that token after all, by a wake-up or by a theft, three for each task: id,
-- definition, state; most urgent first. A repeated call answers the same.

return end_offer(ARGV[1], ARGV[2])
