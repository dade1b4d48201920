-- ARGV: the key; whose it has to be, after an `=`, or nothing. Follows where the session went.
local now, hex, subject = clock(), ARGV[3], ARGV[4] ~= '' and string.sub(ARGV[4], 2) or nil
for _ = 1, 10000 do
  local key = session_key(hex)
  local found = look(key, now)
  if found.state == 'moved' then
    hex = found.to
  elseif found.state == 'live' and (found.subject == subject or not subject) then
    redis.call('DEL', key)
    if found.subject then
      leave(index_key(found.subject), hex)
    end
    return { 'ended' }
  else
    -- What was kept is a sweep's to end.
    if not subject and (found.state ~= 'expired' or kept == 0) then
      redis.call('DEL', key)
    end
    return { 'absent' }
  end
end
return { 'absent' }
