-- Takes keys out of an index. ARGV: the keys.
for place = 3, #ARGV do
  leave(KEYS[1], ARGV[place])
end
return { 'left' }
