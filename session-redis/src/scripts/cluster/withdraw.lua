-- Takes a key out of an index, for which nobody has to end after all. ARGV: the key, whom it had condemned.
make_index(KEYS[1])
leave(KEYS[1], ARGV[3])
for place = 4, #ARGV do
  local condemned_to = score(ARGV[place])
  if condemned_to and condemned_to < 0 then
    redis.call('ZADD', KEYS[1], -condemned_to, ARGV[place])
  end
end
return { 'withdrawn' }
