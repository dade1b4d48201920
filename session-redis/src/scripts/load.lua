local now = clock()
local found = look(KEYS[1], now)
if found.state == 'pending' then
  return { 'pending', found.pending }
elseif found.state == 'moved' then
  return { 'moved', found.to }
elseif found.state ~= 'live' then
  return { found.state }
end
return {
  'live', redis.call('HGET', KEYS[1], 'record'), found.version, found.created, found.seen, expires(found), now,
  found.first or '',
}
