-- ARGV: the record, the key, what to do at the limit (`none`, `oldest` or `refuse`), the limit. Says who had to end.
local now, session = clock(), given()
local hex, rule, most, ended = ARGV[7], ARGV[8], tonumber(ARGV[9]), {}
if not is_free(look(KEYS[1], now)) then
  return { 'taken' }
end
session.version, session.created, session.seen = '1', now, now
if session.subject then
  if rule ~= 'none' then
    local excess = too_many(session.subject, most, now, hex)
    if rule == 'refuse' and #excess > 0 then
      return { 'full' }
    end
    ended = end_all(session.subject, excess, now)
  end
  prune(session.subject, now)
  enter(index_key(session.subject), hex, now, now, session.lifetime)
end
write(KEYS[1], session)
return { 'created', ended }
