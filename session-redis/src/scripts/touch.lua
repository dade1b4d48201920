local now = clock()
local found = look(KEYS[1], now)
if found.state == 'pending' then
  return { 'pending', found.pending }
elseif found.state ~= 'live' then
  return { 'gone' }
end
found.seen = now
redis.call('HSET', KEYS[1], 'seen', now)
redis.call('PEXPIREAT', KEYS[1], expires(found))
return { 'touched' }
