-- Whether the session that was here has moved to a key, and its times. ARGV: the new key.
local found = redis.pcall('HMGET', KEYS[1], 'moved', 'created', 'seen')
if found.err or found[1] ~= ARGV[2] then
  return { 'open' }
end
return { 'moved', whole(found[2]) or 0, whole(found[3]) or 0 }
