-- The members of an index, the newest first. ARGV: the first one's place, how many.
return { 'listed', members('ZREVRANGE', KEYS[1], tonumber(ARGV[3]), ARGV[3] + ARGV[4] - 1) }
