-- The moment of a rename: from now on the session is under its new key. ARGV: the version that was seen, the new key, the new
-- limits in time.
local now = clock()
local seen, hex = ARGV[3], ARGV[4]
local found = look(KEYS[1], now)
if found.state == 'pending' then
  return { 'pending', found.pending }
elseif found.state ~= 'live' then
  return { 'gone' }
elseif found.version ~= seen then
  return { 'conflict' }
end
point(KEYS[1], hex, found, {
  created = found.created, seen = now, idle = tonumber(ARGV[5]), lifetime = tonumber(ARGV[6]),
})
return { 'moved', now }
