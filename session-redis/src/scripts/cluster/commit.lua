-- A new session is there from now on, unless it was ended before it was. ARGV: its token.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[3] then
  redis.call('HDEL', KEYS[1], 'pending')
  set_deadline(KEYS[1], found)
end
return { 'created' }
