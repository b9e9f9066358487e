-- clock: the server's time; no other clock decides anything in a script.

local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000) -- ms since the epoch
