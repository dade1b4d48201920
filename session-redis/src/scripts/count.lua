-- Looks at some of a server's keys and counts the sessions among them. ARGV: where, how many. Says where to go on; how many are
-- alive, how many of these have a subject, how many have expired, how many bytes the living ones have.
local keys, next = scan(ARGV[3], ARGV[4])
local live, with_subject, expired, bytes, now = 0, 0, 0, 0, clock()
for _, hex in ipairs(keys) do
  local session = look(session_key(hex), now)
  if session.state == 'live' then
    live = live + 1
    with_subject = with_subject + (session.subject and 1 or 0)
    bytes = bytes + redis.call('HSTRLEN', session_key(hex), 'record')
  elseif session.state == 'expired' then
    expired = expired + 1
  end
end
return { 'counted', next, live, with_subject, expired, bytes }
