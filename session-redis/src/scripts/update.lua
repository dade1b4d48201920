-- ARGV: the record, the version that was seen, the next one, the key; then what is to be done for the index if the subject or
-- the lifetime changes: `enter` it here, `ask` for it to be entered first, or nothing because that is `done`.
local now, session = clock(), given()
local seen, next_version, hex, index = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local found = look(KEYS[1], now)
if found.state == 'pending' then
  return { 'pending', found.pending }
elseif found.state ~= 'live' then
  return { 'gone' }
elseif found.version ~= seen then
  return { 'conflict' }
end
session.version, session.created, session.seen, session.first = next_version, found.created, now, found.first
if session.subject and index ~= 'done' and (session.subject ~= found.subject or session.lifetime > found.lifetime) then
  if index == 'ask' then
    return { 'index', found.created }
  end
  enter(index_key(session.subject), hex, session.created, now, session.lifetime)
end
if index == 'enter' and found.subject and found.subject ~= session.subject then
  leave(index_key(found.subject), hex)
end
write(KEYS[1], session)
return { 'updated' }
