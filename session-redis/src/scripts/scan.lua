-- What the scripts begin with that go through all keys of a server.

-- The digits of some sessions' keys, and where to go on.
local function scan(cursor, most)
  local pattern = string.gsub(prefix, '[%*%?%[%]%^\\]', '\\%0') .. ':' .. string.rep('?', 64)
  local found = redis.call('SCAN', cursor, 'MATCH', pattern, 'COUNT', most)
  local keys = {}
  for _, key in ipairs(found[2]) do
    local hex = string.sub(key, #prefix + 2)
    -- A revocation's name can be as long.
    if string.find(hex, '^[0-9a-f]+$') then
      keys[#keys + 1] = hex
    end
  end
  return keys, found[1]
end
