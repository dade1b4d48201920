-- Takes keys out of an index. ARGV: the keys.
for place = 2, #ARGV do
  leave(KEYS[1], ARGV[place])
end
return { 'left' }
