-- What every script begins with. KEYS[1] is the key in whose slot it runs, ARGV[1] the prefix of all keys, ARGV[2] for how many
-- milliseconds a session is kept when it has expired.

local prefix, kept = ARGV[1], tonumber(ARGV[2])

-- An index lives so much longer than its sessions, in case that the nodes' clocks differ.
local MARGIN = 60000

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function session_key(hex)
  return prefix .. ':' .. hex
end

local function index_key(subject)
  return prefix .. ':{of:' .. subject .. '}'
end

local function digits(text)
  return text and string.find(text, '^%d+$') and text
end

-- Beyond 2^53 a number is not what it says.
local function whole(text)
  return digits(text) and #text <= 16 and tonumber(text)
end

local function expires(session)
  return math.min(session.seen + session.idle, session.created + session.lifetime)
end

-- What is under a key: `live`, `pending` (written, but not yet there), `moved` (a former key), `expired`, `absent`, or
-- `foreign`, which is nothing that these scripts write. What has expired is still there for as long as it is kept, and until
-- the server gets to it, so it is judged here.
local function look(key, now)
  -- An error, where there is no hash, has none of the fields either.
  local found = redis.pcall('HMGET', key,
    'version', 'created', 'seen', 'idle', 'lifetime', 'subject', 'pending', 'moved', 'first')
  if found[8] then
    return { state = 'moved', to = found[8] }
  end
  local session = {
    version = digits(found[1]),
    created = whole(found[2]),
    seen = whole(found[3]),
    idle = whole(found[4]),
    lifetime = whole(found[5]),
    subject = found[6] or nil,
    pending = found[7] or nil,
    first = found[9] or nil,
  }
  if not (session.version and session.created and session.seen and session.idle and session.lifetime) then
    return { state = redis.call('EXISTS', key) == 1 and 'foreign' or 'absent' }
  end
  if expires(session) > now then
    session.state = session.pending and 'pending' or 'live'
  else
    session.state = session.pending and 'absent' or 'expired'
  end
  return session
end

-- A session as a list of it shows it, after whatever says which one it is.
local function shown(key, hex, session, now)
  return {
    hex, redis.call('HGET', key, 'record'), session.version, session.created, session.seen, expires(session), now,
  }
end

-- A new session goes where there is nothing, or what has to give way.
local function is_free(found)
  return found.state == 'absent' or found.state == 'expired' or found.state == 'moved'
end

-- Lets the server drop a session by itself when nobody wants to know of it any more.
local function set_deadline(key, session)
  redis.call('PEXPIREAT', key, expires(session) + kept)
end

-- The record that is to be written: the arguments after the prefix.
local function given()
  return {
    subject = ARGV[3] ~= '' and string.sub(ARGV[3], 2) or nil,
    idle = tonumber(ARGV[4]),
    lifetime = tonumber(ARGV[5]),
    record = ARGV[6],
  }
end

local function write(key, session)
  redis.call('DEL', key)
  redis.call('HSET', key, 'version', session.version, 'created', session.created, 'seen', session.seen,
    'idle', session.idle, 'lifetime', session.lifetime, 'record', session.record)
  if session.subject then
    redis.call('HSET', key, 'subject', session.subject)
  end
  if session.pending then
    redis.call('HSET', key, 'pending', session.pending)
  end
  if session.first then
    redis.call('HSET', key, 'first', session.first)
  end
  set_deadline(key, session)
end

-- Leaves behind where a session went, and when. Known for as long as it may live under either key.
local function point(key, hex, old, new)
  redis.call('DEL', key)
  redis.call('HSET', key, 'moved', hex, 'seen', new.seen)
  redis.call('PEXPIREAT', key, math.max(expires(old), expires(new)))
end

-- An index is a sorted set of keys by the time of creation; anything else under its name gives way.
local function make_index(index)
  local kind = redis.call('TYPE', index).ok
  if kind ~= 'zset' and kind ~= 'none' then
    redis.call('DEL', index)
  end
end

local function enter(index, hex, created, now, lifetime)
  make_index(index)
  redis.call('ZADD', index, created, hex)
  local ends = now + lifetime + MARGIN
  if redis.call('PTTL', index) < ends - now then
    redis.call('PEXPIREAT', index, ends)
  end
end

-- What somebody else has put there has no members.
local function members(command, index, ...)
  local found = redis.pcall(command, index, ...)
  return found.err and {} or found
end

local function leave(index, hex)
  redis.pcall('ZREM', index, hex)
end
