-- clock: the moment at which the tests have stopped the clock; in the place of parts/clock.lua.

local now = math.floor(tonumber(redis.call("GET", base .. "clock")) / 1000) -- ms since the epoch
