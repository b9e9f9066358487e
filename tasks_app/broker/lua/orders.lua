-- orders: fetch what a worker is to do, and drop what it has got.
--
-- include: keys orders
--
-- KEYS[1] the shard's anchor
--
-- ARGV[1] its id
-- ARGV[2] how many orders its last answer brought
-- ARGV[3] SHA-1 of the last one of them, hexadecimal; "" for none
--
-- Returns its orders, oldest first, JSON; the same ones until a call says that they have arrived.

return orders_after("workers", ARGV[1], tonumber(ARGV[2]), ARGV[3])
