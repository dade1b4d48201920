-- The live sessions of a subject, the newest first. ARGV: the subject, the first member's place, how many members to look at,
-- how many sessions. Says how many were looked at.
local now, subject, first, looked_at, most = clock(), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local listed = members('ZREVRANGE', KEYS[1], first, first + looked_at - 1)
local sessions = {}
for _, hex in ipairs(listed) do
  local found = #sessions < most and belongs(hex, subject, now)
  if found then
    sessions[#sessions + 1] = shown(session_key(hex), hex, found, now)
  end
end
return { 'listed', #listed, sessions }
