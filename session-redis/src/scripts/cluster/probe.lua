-- What is under a key, without its payload, and how old it is if it is pending.
local now = clock()
local found = look(KEYS[1], now)
return {
  found.state, found.version or '', found.created or 0, found.subject and '=' .. found.subject or '',
  found.pending or found.to or '', found.seen and now - found.seen or 0,
  found.first or '',
}
