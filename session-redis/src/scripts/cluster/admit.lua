-- Enters a key into an index, where this is decided for all logins of a subject one after another. ARGV: the key, the time of its
-- creation, its lifetime, the key of this index whose place it takes or nothing; what to do at the limit (`none`, `oldest` or
-- `refuse`), the limit; how many of the other arguments are dead, these, and those that are not the subject's.
--
-- Without the last ones nobody has looked who is alive: then at the limit nothing is decided, and the answer is whom to look at.
local LOOKED_AT = 2
local index, now = KEYS[1], clock()
local hex, created, lifetime, old, rule, most = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7], tonumber(ARGV[8])
local dead = tonumber(ARGV[9] or '')
make_index(index)
local place = old ~= '' and score(old)
if old ~= '' and not place then
  return { 'unknown' }
elseif place and place < 0 then
  return { 'condemned' }
end
local victims = {}
if rule ~= 'none' then
  local ignored = { [hex] = true, [old] = true }
  for argument = 10, #ARGV do
    if argument <= 8 + dead then
      leave(index, ARGV[argument])
    else
      ignored[ARGV[argument]] = true
    end
  end
  local others = {}
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', index, '(0', '+inf')) do
    if not ignored[other] then
      others[#others + 1] = other
    end
  end
  if #others >= most then
    if not dead then
      return { 'crowded', others }
    elseif rule == 'refuse' then
      return { 'full' }
    end
    for oldest = 1, #others - most + 1 do
      victims[oldest] = others[oldest]
      redis.call('ZADD', index, -score(others[oldest]), others[oldest])
    end
  end
end
enter(index, hex, place and place > 0 and 0 or created, now, lifetime)
return {
  'entered', victims, rule ~= 'none' and condemned() or {}, redis.call('ZRANDMEMBER', index, LOOKED_AT),
}
