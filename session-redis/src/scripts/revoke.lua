-- ARGV: for how long.
local now, keep = clock(), tonumber(ARGV[3])
local left = redis.call('PTTL', KEYS[1])
if left < keep then
  redis.call('SET', KEYS[1], now, 'PXAT', now + keep)
end
return { left > 0 and 'known' or 'news' }
