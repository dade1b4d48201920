-- The session that was moved here is there. ARGV: the key it comes from, and when.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[2] then
  found.seen = tonumber(ARGV[3])
  redis.call('HDEL', KEYS[1], 'pending')
  redis.call('HSET', KEYS[1], 'seen', found.seen)
  redis.call('PEXPIREAT', KEYS[1], expires(found))
end
return { 'settled' }
