-- The session that was moved here is there. ARGV: the key it comes from, its times.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[2] then
  found.created, found.seen = tonumber(ARGV[3]), tonumber(ARGV[4])
  redis.call('HDEL', KEYS[1], 'pending')
  redis.call('HSET', KEYS[1], 'created', found.created, 'seen', found.seen)
  redis.call('PEXPIREAT', KEYS[1], expires(found))
end
return { 'settled' }
