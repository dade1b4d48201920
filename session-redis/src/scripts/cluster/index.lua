-- What the scripts on an index begin with. The score of a session is the time of its creation; negative, if a limit has condemned
-- it and it may not be dead yet; zero, if it is on its way from another key of this index, which counts until it has arrived.

local function score(hex)
  return tonumber(redis.call('ZSCORE', KEYS[1], hex) or '')
end

local function condemned()
  return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(0')
end
