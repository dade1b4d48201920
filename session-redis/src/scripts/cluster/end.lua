-- Ends one session; `other` if it is somebody else's. ARGV: whose it has to be, after an `=`, or nothing; which pending one may be
-- ended, by what it is pending for: the key it comes from, or `any` if a limit ends it; then it says how it was.
local subject, pending = ARGV[3] ~= '' and string.sub(ARGV[3], 2) or nil, ARGV[4]
local now = clock()
local found = look(KEYS[1], now)
if found.state == 'moved' then
  return { 'moved', found.to }
elseif found.state == 'live' or found.state == 'pending' then
  if subject and found.subject ~= subject then
    return { 'other' }
  elseif found.pending and pending ~= 'any' and pending ~= found.pending then
    return { 'pending', found.pending }
  end
  local session = pending == 'any' and shown(KEYS[1], '', found, now) or {}
  redis.call('DEL', KEYS[1])
  return { 'ended', found.subject and '=' .. found.subject or '', session }
elseif not subject and (found.state ~= 'expired' or kept == 0) then
  -- What was kept is a sweep's to end.
  redis.call('DEL', KEYS[1])
end
return { 'absent' }
