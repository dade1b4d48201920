-- Whether the session that was here has moved to a key, and when. ARGV: the new key.
local found = redis.pcall('HMGET', KEYS[1], 'moved', 'seen')
if found[1] ~= ARGV[3] then
  return { 'open' }
end
return { 'moved', whole(found[2]) or 0 }
