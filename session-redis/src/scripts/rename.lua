-- ARGV: the record, the version that was seen, the next one, the old key, the new key, what to do at the limit, the limit. Says
-- who had to end.
local now, session = clock(), given()
local seen, next_version, old, new, rule, most = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])
local found = look(KEYS[1], now)
if found.state ~= 'live' then
  return { 'gone' }
elseif found.version ~= seen then
  return { 'conflict' }
end
local excess, ended = {}, {}
if session.subject and rule ~= 'none' then
  excess = too_many(session.subject, most, now, old, new)
  if rule == 'refuse' and #excess > 0 then
    return { 'full' }
  end
end
if not is_free(look(KEYS[2], now)) then
  return { 'taken' }
end
session.version, session.created, session.seen = next_version, found.created, now
if session.subject then
  ended = end_all(session.subject, excess, now)
  prune(session.subject, now)
  enter(index_key(session.subject), new, session.created, now, session.lifetime)
end
if found.subject then
  leave(index_key(found.subject), old)
end
write(KEYS[2], session)
point(KEYS[1], new, found, session)
return { 'updated', ended }
