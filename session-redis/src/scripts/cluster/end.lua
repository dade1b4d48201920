-- Ends one session; `other` if it is somebody else's. ARGV: whose it has to be, after an `=`, or nothing; which pending one may be
-- ended, by what it is pending for: `any`, or the key it comes from.
local subject, pending = ARGV[2] ~= '' and string.sub(ARGV[2], 2) or nil, ARGV[3]
local found = look(KEYS[1], clock())
if found.state == 'moved' then
  return { 'moved', found.to }
elseif found.state == 'live' or found.state == 'pending' then
  if subject and found.subject ~= subject then
    return { 'other' }
  elseif found.pending and pending ~= 'any' and pending ~= found.pending then
    return { 'pending', found.pending }
  end
  redis.call('DEL', KEYS[1])
  return { 'ended', found.subject and '=' .. found.subject or '' }
elseif not subject then
  redis.call('DEL', KEYS[1])
end
return { 'absent' }
