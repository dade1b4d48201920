//! The scripts that the verbs are made of. The server runs each as one step, and knows it by its hash once it has seen it.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Cmd;
use session_core::{Record, SubjectLimit};

/// Longer than anybody waits, and short enough that a time and two of them are whole numbers for a script, which counts
/// in double precision.
const LONGEST_MILLIS: u64 = 1 << 51;

/// One script. All begin with a line that lets the server refuse them before they have done anything: on a replica, whose
/// sessions may be old ones, and the writing ones if there is no memory left.
pub(crate) struct Script {
    text: String,
    hash: String,
    effect: Effect,
}

/// What a script does, and so what may be done when nobody knows whether it has run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    /// To run twice is to run once.
    Repeats,
    Writes,
}

/// Loads and what ends something work on a full server too.
const ALWAYS: &str = "#!lua flags=allow-oom\n";
const UNLESS_FULL: &str = "#!lua\n";
/// On one node of a cluster, whatever slots its keys are in.
const ON_A_NODE: &str = "#!lua flags=allow-oom,allow-cross-slot-keys\n";

macro_rules! scripts {
    ($($name:ident: $flags:ident, $effect:ident, $($file:literal)+;)*) => {
        $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let parts = [$flags, include_str!("scripts/prelude.lua"), $(include_str!(concat!("scripts/", $file))),+];
            Script::new(&parts, Effect::$effect)
        });)*
    };
}

scripts! {
    LOAD: ALWAYS, Reads, "load.lua";
    TOUCH: ALWAYS, Repeats, "touch.lua";
    UPDATE: UNLESS_FULL, Writes, "update.lua";
    CREATE: UNLESS_FULL, Writes, "crowd.lua" "create.lua";
    RENAME: UNLESS_FULL, Writes, "crowd.lua" "rename.lua";
    DELETE: ALWAYS, Writes, "delete.lua";
    DELETE_ALL: ALWAYS, Writes, "crowd.lua" "delete_all.lua";
    SESSIONS: ALWAYS, Reads, "crowd.lua" "sessions.lua";
    REVOKE: UNLESS_FULL, Writes, "revoke.lua";
    REVOKE_ALL: UNLESS_FULL, Repeats, "revoke_all.lua";
    REVOKED: ALWAYS, Reads, "revoked.lua";
    COUNT: ON_A_NODE, Reads, "scan.lua" "count.lua";
    SWEEP: ON_A_NODE, Writes, "scan.lua" "sweep.lua";
}

#[cfg(feature = "cluster")]
scripts! {
    PROBE: ALWAYS, Reads, "cluster/probe.lua";
    RESERVE: UNLESS_FULL, Writes, "cluster/reserve.lua";
    COMMIT: ALWAYS, Repeats, "cluster/commit.lua";
    MOVE: ALWAYS, Writes, "cluster/move.lua";
    OUTCOME: ALWAYS, Reads, "cluster/outcome.lua";
    SETTLE: ALWAYS, Repeats, "cluster/settle.lua";
    ABANDON: ALWAYS, Repeats, "cluster/abandon.lua";
    END: ALWAYS, Writes, "cluster/end.lua";
    ADMIT: UNLESS_FULL, Writes, "cluster/index.lua" "cluster/admit.lua";
    SUCCEED: ALWAYS, Repeats, "cluster/index.lua" "cluster/succeed.lua";
    WITHDRAW: ALWAYS, Repeats, "cluster/index.lua" "cluster/withdraw.lua";
    LEAVE: ALWAYS, Repeats, "cluster/leave.lua";
    LIST: ALWAYS, Reads, "cluster/list.lua";
}

impl Script {
    fn new(parts: &[&str], effect: Effect) -> Self {
        let text = parts.concat();
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash, effect }
    }
}

/// A script with what it is to run on.
pub(crate) struct Call {
    script: &'static Script,
    keys: Vec<String>,
    arguments: Vec<Vec<u8>>,
}

impl Call {
    /// On no key: for a node that was chosen otherwise. `kept` is for how long a session is kept when it has expired.
    pub(crate) fn new(script: &'static Script, prefix: &str, kept: Duration) -> Self {
        Self { script, keys: Vec::new(), arguments: vec![prefix.into()] }.millis(kept)
    }

    pub(crate) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(crate) fn arg(mut self, argument: impl Into<Vec<u8>>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.arg(number.to_string())
    }

    /// A time to wait, shortened to what a script can count with.
    pub(crate) fn millis(self, duration: Duration) -> Self {
        self.number(u64::try_from(duration.as_millis()).map_or(LONGEST_MILLIS, |millis| millis.min(LONGEST_MILLIS)))
    }

    /// Somebody, or nobody, which is not the same as the empty name.
    pub(crate) fn subject(self, subject: Option<&str>) -> Self {
        self.arg(subject.map_or_else(String::new, |subject| format!("={subject}")))
    }

    pub(crate) fn record(self, record: &Record) -> Self {
        let expiry = record.expiry;
        self.subject(record.subject.as_deref()).millis(expiry.idle).millis(expiry.lifetime).arg(record.to_json())
    }

    pub(crate) fn limit(self, limit: SubjectLimit) -> Self {
        let rule = match limit {
            SubjectLimit::None => "none",
            SubjectLimit::EndOldest(_) => "oldest",
            SubjectLimit::Refuse(_) => "refuse",
        };
        self.arg(rule).number(limit.most().unwrap_or(0).into())
    }

    /// The key whose node it has to run on.
    #[cfg(feature = "cluster")]
    pub(crate) fn first_key(&self) -> &str {
        &self.keys[0]
    }

    /// Whether it may be sent again when nobody knows whether it has run.
    pub(crate) fn may_run_twice(&self) -> bool {
        self.script.effect != Effect::Writes
    }

    pub(crate) fn writes(&self) -> bool {
        self.script.effect != Effect::Reads
    }

    /// As a command for a server that knows the script.
    pub(crate) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// As a command that makes the script known.
    pub(crate) fn by_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}
