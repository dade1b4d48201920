//! The way into a Redis past the library, and what it says about itself.

use std::fs;

use session_testing::servers::Redis;

use super::entries::Backdoor;

/// One server, or all primaries of a cluster.
pub(crate) struct Keys<'a>(pub(crate) Vec<&'a Redis>);

impl Keys<'_> {
    /// Runs a script on the session under a key.
    fn act(&self, key: &str, script: &str, argument: &str) {
        let name = format!("session:{key}");
        let done = |node: &&&Redis| node.ask(&["EVAL", script, "1", &name, argument]).is_ok();
        assert_eq!(self.0.iter().filter(done).count(), 1, "{script}");
    }
}

impl Backdoor for Keys<'_> {
    const OWN: &'static [&'static str] = &[
        "a string",
        "a list",
        "a hash of something else",
        "no record",
        "a record that is no text",
        "no version",
        "a version that is no number",
        "a time that is no number",
        "a time that is too large",
    ];

    async fn write(&self, key: &str, record: &str) {
        self.act(key, "return redis.call('HSET', KEYS[1], 'record', ARGV[1])", record);
    }

    async fn harm(&self, key: &str, how: &str) {
        let script = match how {
            "a string" => "redis.call('SET', KEYS[1], ARGV[1])",
            "a list" => "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], ARGV[1])",
            "a hash of something else" => "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], ARGV[1], ARGV[1])",
            "no record" => "redis.call('HDEL', KEYS[1], 'record')",
            "a record that is no text" => r"redis.call('HSET', KEYS[1], 'record', '{\255\254' .. ARGV[1])",
            "no version" => "redis.call('HDEL', KEYS[1], 'version')",
            "a version that is no number" => "redis.call('HSET', KEYS[1], 'version', ARGV[1])",
            "a time that is no number" => "redis.call('HSET', KEYS[1], 'seen', ARGV[1])",
            "a time that is too large" => "redis.call('HSET', KEYS[1], 'created', '99999999999999999999999')",
            _ => panic!("{how}?"),
        };
        self.act(key, script, "raw-5d0c");
    }

    /// All values as Redis dumps them and as text, and everything that was ever written to the files of the server.
    async fn dump(&self) -> Vec<u8> {
        const ALL: &str = "
            local said = {}
            for _, key in ipairs(redis.call('KEYS', '*')) do
              said[#said + 1] = key
              local kind = redis.call('TYPE', key).ok
              if kind == 'hash' then
                for _, text in ipairs(redis.call('HGETALL', key)) do said[#said + 1] = text end
              elseif kind == 'zset' then
                for _, text in ipairs(redis.call('ZRANGE', key, 0, -1)) do said[#said + 1] = text end
              elseif kind == 'string' then
                said[#said + 1] = redis.call('GET', key)
              else
                error('what is a ' .. kind .. '?')
              end
              said[#said + 1] = redis.call('DUMP', key)
            end
            return table.concat(said, '\\n')";
        let mut dump = Vec::new();
        for node in &self.0 {
            dump.extend(node.ask(&["EVAL", ALL, "0"]).unwrap().into_bytes());
            let folder = node.ask(&["CONFIG", "GET", "dir"]).unwrap().lines().nth(1).unwrap().to_owned();
            for file in fs::read_dir(format!("{folder}/appendonlydir")).unwrap() {
                dump.extend(fs::read(file.unwrap().path()).unwrap());
            }
        }
        dump
    }
}

/// The labs' connections at a server: without the one that asks, and those of replicas and sentinels.
pub(crate) fn connections(redis: &Redis) -> usize {
    let clients = redis.ask(&["CLIENT", "LIST", "TYPE", "normal"]).unwrap();
    let others = |line: &&str| !line.contains("cmd=client|list") && !line.contains("name=sentinel-");
    clients.lines().filter(|line| !line.is_empty()).filter(others).count()
}

/// A number out of `INFO`.
pub(crate) fn info(redis: &Redis, name: &str) -> u64 {
    let info = redis.ask(&["INFO", "everything"]).unwrap();
    let number = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {name} in {info}"))
}
