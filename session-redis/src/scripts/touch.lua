local now = clock()
local found = look(KEYS[1], now)
if found.state == 'pending' then
  return { 'pending', found.pending }
elseif found.state ~= 'live' then
  return { 'gone' }
end
found.seen = now
redis.call('HSET', KEYS[1], 'seen', now)
set_deadline(KEYS[1], found)
return { 'touched' }
