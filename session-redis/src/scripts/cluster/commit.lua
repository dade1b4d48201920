-- A new session is there from now on, unless it was ended before it was. ARGV: its token.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[2] then
  redis.call('HDEL', KEYS[1], 'pending')
  redis.call('PEXPIREAT', KEYS[1], expires(found))
end
return { 'created' }
