-- Writes a session that is not there yet. ARGV: the record, its version; the key it comes from, the time of its creation and the
-- first key it had. Or three times nothing for a new one, which gets a token and lasts for so long at most as a login may take.
local FLIGHT = 60000
local now, session = clock(), given()
local from, created = ARGV[8], tonumber(ARGV[9])
if not is_free(look(KEYS[1], now)) then
  return { 'taken' }
end
session.version, session.created, session.seen, session.pending = ARGV[7], created or now, now, from
if from == '' then
  local time = redis.call('TIME')
  session.pending = 'new at ' .. time[1] .. '.' .. time[2]
end
session.first = ARGV[10] ~= '' and ARGV[10] or nil
write(KEYS[1], session)
if from == '' and expires(session) > now + FLIGHT then
  redis.call('PEXPIREAT', KEYS[1], now + FLIGHT)
end
return { 'reserved', session.pending, session.created }
