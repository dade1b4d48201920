-- The session that was moved here is there. ARGV: the key it comes from, and when.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[3] then
  found.seen = tonumber(ARGV[4])
  redis.call('HDEL', KEYS[1], 'pending')
  redis.call('HSET', KEYS[1], 'seen', found.seen)
  set_deadline(KEYS[1], found)
end
return { 'settled' }
