-- Whether one of the keys is there, or the last of them, if a moment is given, has this moment or a later one. ARGV: the moment
-- or nothing.
local moment, last = ARGV[3], #KEYS
if moment ~= '' then
  local found = redis.pcall('GET', KEYS[last])
  -- What can't be read was no less a revocation.
  local known = found and (type(found) ~= 'string' or not digits(found) or #found > #moment
    or #found == #moment and found >= moment)
  if known then
    return { 'revoked' }
  end
  last = last - 1
end
for place = 1, last do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    return { 'revoked' }
  end
end
return { 'unknown' }
