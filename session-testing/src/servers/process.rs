//! A server program as a child process that can't outlive the test.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fmt};

use super::port;

/// How long a server may take to start, and to fall after a signal.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a server is started before it is taken to be unable to.
const ATTEMPTS: usize = 5;

/// Between two looks at something that will be so in a moment.
const MOMENT: Duration = Duration::from_millis(5);

/// Whom servers run as if the tests run as root, which `postgres` and `mariadbd` refuse: `nobody`, on every Linux.
const NOBODY: u32 = 65_534;

/// A shell between the test and the server. It does what it reads, and when nobody writes any more, because the test has
/// dropped the server or is itself gone, however it went, it ends the server and removes the folder. The server is its
/// child and not waited for, so its process id can't come to mean another process.
const WATCHER: &str = r#"
folder=$1 cleanup=$2 server=
shift 2
trap '' HUP # with a stopped server in the group, the system sends it when the test process dies
signal() {
  all=
  [ -n "$server" ] || return
  kill -STOP "$server" # who is stopped makes no more children, so the list is complete
  all="$(cat "/proc/$server/task/$server/children" 2>/dev/null || pgrep -P "$server") $server"
  kill "-$1" $all # the children first: they would say goodbye to their clients when the server is gone
}
end() {
  signal KILL
  [ -z "$server" ] || wait "$server"
  server=
}
while read -r order; do
  case $order in
    START) "$@" >&2 & server=$! all=$! ;;
    KILL) end ;;
    *) signal "$order" ;;
  esac
  echo $all
done
end
eval "$cleanup"
cd / && rm -rf "$folder"
"#;

/// A server of which nobody knows yet whether it answers.
pub(super) struct Process {
    folder: PathBuf,
    owner: u32,
    watcher: Mutex<Watcher>,
}

struct Watcher {
    shell: Child,
    /// `None` only while it is dropped.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    server: Option<u32>,
}

/// A server program that ended, or didn't answer in time, with what it said.
pub(super) struct Failed(String);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Starts a server on a free port, and on another one if somebody was quicker.
pub(super) fn on_a_free_port<T>(start: impl Fn(u16) -> Result<T, Failed>) -> T {
    (1..ATTEMPTS).find_map(|_| start(port::free()).ok()).unwrap_or_else(|| {
        // the last attempt may say why it failed
        start(port::free()).expect("the server starts")
    })
}

impl Process {
    /// A folder of its own with nothing in it, and the program that `command` makes for that folder, not yet started.
    /// `cleanup` is a shell command for what the server leaves outside of its folder.
    pub(super) fn new(name: &str, cleanup: &str, command: impl FnOnce(&Path) -> Vec<OsString>) -> Self {
        let folder = env::temp_dir().join(format!("session-testing-{name}-{:016x}", port::random()));
        fs::create_dir(&folder).expect("a folder for temporary files that can be written to");
        let mut owner = fs::metadata(&folder).expect("the new folder").uid();
        if owner == 0 {
            owner = NOBODY;
            chown(&folder, Some(owner), Some(owner)).expect("root may give a folder away");
        }
        let log = File::create(folder.join("log")).expect("a file in the new folder");
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(WATCHER).arg("watcher").arg(&folder).arg(cleanup).args(command(&folder));
        // A group of its own: what interrupts the tests at the keyboard must not end the watcher before the server.
        let mut shell = as_owner(&mut shell, &folder, owner)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("every Unix has /bin/sh");
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("it is piped"));
        Self { folder, owner, watcher: Mutex::new(Watcher { shell, orders, answers, server: None }) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs another program to its end, in the folder and by the user of the server.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> Result<(), Failed> {
        let mut command = Command::new(program);
        let output = as_owner(command.args(arguments), &self.folder, self.owner).stdin(Stdio::null()).output();
        let output = output.map_err(|error| Failed(format!("{}: {error}", program.display())))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Err(Failed(format!("{}: {}\n{said}", program.display(), output.status)))
    }

    /// Starts the server, and waits until `ready` says yes to its process id.
    pub(super) fn start(&self, ready: impl Fn(u32) -> bool) -> Result<(), Failed> {
        let pid = {
            let mut watcher = self.watcher();
            let pid = watcher.order("START").first().copied().expect("the watcher tells the process id");
            watcher.server = Some(pid);
            pid
        };
        if wait_until(|| has_ended(pid) || ready(pid)) && !has_ended(pid) {
            return Ok(());
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let end: Vec<_> = log.lines().rev().take(20).collect();
        self.kill();
        Err(Failed(end.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }

    /// Kills the server if it runs, and starts it with what it has left in its folder.
    pub(super) fn restart(&self, ready: impl Fn(u32) -> bool) {
        self.kill();
        for _ in 1..ATTEMPTS {
            if self.start(&ready).is_ok() {
                return;
            }
            sleep(Duration::from_millis(200)); // the system may need a moment to forget the one before
        }
        self.start(&ready).expect("the server starts again");
    }

    /// Without any warning, as a machine that loses power: the server and its children are gone when this returns.
    pub(super) fn kill(&self) {
        let mut watcher = self.watcher();
        let pids = watcher.order("KILL");
        watcher.server = None;
        assert!(wait_until(|| pids.iter().all(|&pid| has_ended(pid))), "a killed server is still there");
    }

    /// Stops the server and its children where they are: connections stay open, and nothing is answered.
    pub(super) fn stop(&self) {
        let pids = self.watcher().order("STOP");
        assert!(wait_until(|| pids.iter().all(|&pid| has_stopped(pid))), "a stopped server goes on");
    }

    /// Lets a stopped server go on.
    pub(super) fn resume(&self) {
        self.watcher().order("CONT");
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.watcher().server
    }

    fn watcher(&self) -> MutexGuard<'_, Watcher> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let watcher = self.watcher.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(watcher.orders.take());
        let _ = watcher.shell.wait();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("pid", &self.pid()).finish_non_exhaustive()
    }
}

impl Watcher {
    /// The process ids that the order went to.
    fn order(&mut self, order: &str) -> Vec<u32> {
        let mut answer = String::new();
        let orders = self.orders.as_mut().expect("it has not been dropped");
        writeln!(orders, "{order}").expect("the watcher listens");
        self.answers.read_line(&mut answer).expect("the watcher answers");
        answer.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// Whether `so` became true in time.
pub(super) fn wait_until(so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if so() {
            return true;
        }
        sleep(MOMENT);
    }
    so()
}

fn as_owner<'a>(command: &'a mut Command, folder: &Path, owner: u32) -> &'a mut Command {
    if fs::metadata("/proc/self").is_ok_and(|myself| myself.uid() != owner) {
        command.uid(owner).gid(owner);
    }
    command.current_dir(folder)
}

/// Whether the process is gone, or dead and only not yet waited for. Where there is no `/proc` nobody knows.
fn has_ended(pid: u32) -> bool {
    Path::new("/proc/self/stat").exists()
        && state(Path::new(&format!("/proc/{pid}"))).is_none_or(|state| matches!(state, 'Z' | 'X'))
}

fn has_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| state(&thread.path()).is_none_or(|state| matches!(state, 'T' | 't' | 'Z' | 'X')))
}

/// The letter that Linux gives to what a process or thread does now.
fn state(of: &Path) -> Option<char> {
    let stat = fs::read_to_string(of.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
