-- Takes back what was reserved. ARGV: its token, or the key it would have come from.
local found = look(KEYS[1], clock())
if found.state == 'pending' and found.pending == ARGV[3] then
  redis.call('DEL', KEYS[1])
end
return { 'abandoned' }
