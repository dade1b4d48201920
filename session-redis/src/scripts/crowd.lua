-- What else the scripts of a single server begin with: there one script reaches every key.

-- So many members of an index are looked at with each login, at random: what is dead among them goes. So an index has few
-- more members than live ones, whichever of them live longest.
local LOOKED_AT = 8

-- Whether an index is right about a member.
local function belongs(hex, subject, now)
  local found = look(session_key(hex), now)
  return found.state == 'live' and found.subject == subject and found
end

local function prune(subject, now)
  local index = index_key(subject)
  for _, hex in ipairs(members('ZRANDMEMBER', index, LOOKED_AT)) do
    if not belongs(hex, subject, now) then
      leave(index, hex)
    end
  end
end

-- The sessions of a subject that are too many if there is one more, the oldest first. Those that are named don't count. Who is
-- dead among the members goes: they are looked at anyway.
local function too_many(subject, most, now, one, other)
  local index, live = index_key(subject), {}
  for _, hex in ipairs(members('ZRANGE', index, 0, -1)) do
    if hex ~= one and hex ~= other then
      local found = belongs(hex, subject, now)
      if found then
        live[#live + 1] = { hex = hex, created = found.created, found = found }
      else
        leave(index, hex)
      end
    end
  end
  table.sort(live, function(a, b)
    return a.created < b.created or a.created == b.created and a.hex < b.hex
  end)
  for place = #live, math.max(#live - most + 2, 1), -1 do
    live[place] = nil
  end
  return live
end

-- Says how they were.
local function end_all(subject, sessions, now)
  local ended = {}
  for place, session in ipairs(sessions) do
    ended[place] = shown(session_key(session.hex), session.hex, session.found, now)
    redis.call('DEL', session_key(session.hex))
    leave(index_key(subject), session.hex)
  end
  return ended
end
