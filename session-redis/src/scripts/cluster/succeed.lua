-- A key takes the place of the one it comes from, condemned or not; if that has none any more it has ended. ARGV: both keys. Says
-- who has to be dead before the new one is there.
local index, old, new = KEYS[1], ARGV[3], ARGV[4]
make_index(index)
local place = score(old)
if place then
  leave(index, old)
  redis.call('ZADD', index, place, new)
end
return { 'succeeded', condemned() }
