-- ARGV: up to which moment, for how long.
local now, moment, keep = clock(), ARGV[3], tonumber(ARGV[4])
local found = redis.pcall('GET', KEYS[1])
local known = type(found) == 'string' and digits(found)
-- As text, because a moment may be any number of 64 bits.
if known and (#known > #moment or #known == #moment and known > moment) then
  moment = known
end
local left = known and redis.call('PTTL', KEYS[1]) or 0
redis.call('SET', KEYS[1], moment, 'PXAT', now + math.max(left, keep))
return { 'revoked' }
