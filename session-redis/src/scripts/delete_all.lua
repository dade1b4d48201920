-- Ends the members of an index, as many as one call may look at. ARGV: the subject, the key that stays or nothing, the first
-- member's place, how many. Says how many were looked at, how many of them are still there, and how many it ended.
local now, subject, spared, first, most = clock(), ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
for _ = 1, 10000 do
  local found = look(session_key(spared), now)
  if found.state ~= 'moved' then
    break
  end
  spared = found.to
end
local listed = members('ZRANGE', KEYS[1], first, first + most - 1)
local stay, ended = 0, 0
for _, hex in ipairs(listed) do
  if hex == spared then
    stay = stay + 1
  else
    if belongs(hex, subject, now) then
      redis.call('DEL', session_key(hex))
      ended = ended + 1
    end
    leave(KEYS[1], hex)
  end
end
return { 'ended', #listed, stay, ended }
