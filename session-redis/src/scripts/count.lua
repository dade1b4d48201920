-- Looks at some of a server's keys and counts the sessions among them: cursor, live ones, those with a subject, bytes.
local pattern = string.gsub(prefix, '[%*%?%[%]%^\\]', '\\%0') .. ':' .. string.rep('?', 64)
local found = redis.call('SCAN', ARGV[2], 'MATCH', pattern, 'COUNT', ARGV[3])
local live, with_subject, bytes, now = 0, 0, 0, clock()
for _, key in ipairs(found[2]) do
  local session = look(key, now)
  -- A revocation's name can be as long.
  if session.state == 'live' and string.find(string.sub(key, #prefix + 2), '^[0-9a-f]+$') then
    live = live + 1
    with_subject = with_subject + (session.subject and 1 or 0)
    bytes = bytes + redis.call('HSTRLEN', key, 'record')
  end
end
return { 'counted', found[1], live, with_subject, bytes }
