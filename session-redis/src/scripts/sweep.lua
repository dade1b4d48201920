-- Looks at some of a server's keys and frees the sessions among them that have expired. ARGV: where, how many to look at, how many
-- to free. Says where to go on, and how they were.
local cursor, most, now = ARGV[3], tonumber(ARGV[5]), clock()
local keys, next = scan(cursor, ARGV[4])
local ended = {}
for _, hex in ipairs(keys) do
  local session = look(session_key(hex), now)
  if session.state == 'expired' then
    if #ended == most then
      -- The rest of them is there again.
      return { 'swept', cursor, ended }
    end
    ended[#ended + 1] = shown(session_key(hex), hex, session, now)
    redis.call('DEL', session_key(hex))
  end
end
return { 'swept', next, ended }
