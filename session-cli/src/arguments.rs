//! The command line.

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  this machine: no randomness, output that can't be written
  2  the command can't be meant like this: arguments, settings, secrets, URL
  3  there is no such session
  4  the store can't be reached, or failed
  5  the cookie is no live session

Secrets and cookies are read from the environment, from files or from stdin: what is on the command line, other users of this
machine can see.";

/// Lists, ends, sweeps and counts web sessions in any store, and explains a session's cookie.
#[derive(Debug, Parser)]
#[command(name = "sessionctl", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Answer in JSON, for programs; errors too, on stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print a new secret, and how to set it
    Keygen,
    /// List a subject's live sessions, those created last first
    List(List),
    /// Show one session in the store
    Show(Show),
    /// End sessions by their handles
    End(End),
    /// End all sessions of a subject
    EndAll(EndAll),
    /// Free what expired sessions take up
    Sweep(Sweep),
    /// Count the sessions in the store
    Stats(Stats),
    /// Say what a cookie carries, or why it is no session
    Inspect(Inspect),
    /// Say how to rotate the secrets, and what is in the ring now
    Rotate(Rotate),
}

/// Where the sessions are.
#[derive(Args, Debug)]
pub(crate) struct Store {
    /// The store's URL, such as sqlite:sessions.db, postgres://…, mysql://…, redis://… [default: the variable STORE]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// The sessions are encrypted in the store, and this variable has the secrets for that
    #[arg(long, value_name = "VARIABLE", conflicts_with = "store_secret_file")]
    pub(crate) store_secret_env: Option<String>,
    /// The same in a file; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) store_secret_file: Option<String>,
}

/// The application's secrets.
#[derive(Args, Debug)]
pub(crate) struct Secret {
    /// The variable that has the secrets, the current one first, with commas between them [default: SESSION_SECRET]
    #[arg(long, value_name = "VARIABLE", conflicts_with = "secret_file")]
    pub(crate) secret_env: Option<String>,
    /// The file that has them; - is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Who is logged in, as the application names its users
    pub(crate) subject: String,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    pub(crate) most: usize,
    #[command(flatten)]
    pub(crate) store: Store,
    #[command(flatten)]
    pub(crate) secret: Secret,
}

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The session's handle: 64 hexadecimal digits, from list or inspect
    pub(crate) handle: String,
    /// Say of each value only what kind it is and how large
    #[arg(long)]
    pub(crate) hide_values: bool,
    #[command(flatten)]
    pub(crate) store: Store,
    #[command(flatten)]
    pub(crate) secret: Secret,
}

#[derive(Args, Debug)]
pub(crate) struct End {
    /// The sessions' handles: 64 hexadecimal digits, from list or inspect
    #[arg(required = true, value_name = "HANDLE")]
    pub(crate) handles: Vec<String>,
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct EndAll {
    /// Whose sessions, as the application names its users
    pub(crate) subject: String,
    /// The sessions are in their cookies, and the store keeps what was revoked
    #[arg(long)]
    pub(crate) in_cookies: bool,
    /// How long the revocation is kept: the longest that a session of the application may live
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * 3_600, requires = "in_cookies")]
    pub(crate) longest_life: u64,
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct Sweep {
    /// So many at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct Stats {
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The cookie: its value, NAME=VALUE, or a whole Cookie header [default: stdin]
    pub(crate) cookie: Option<String>,
    /// The variable that has it
    #[arg(long, value_name = "VARIABLE", conflicts_with_all = ["cookie", "cookie_file"])]
    pub(crate) cookie_env: Option<String>,
    /// The file that has it; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "cookie")]
    pub(crate) cookie_file: Option<String>,
    /// The cookie's name in the application [default: the variable SESSION_COOKIE_NAME, or __Host-id]
    #[arg(long, value_name = "NAME")]
    pub(crate) cookie_name: Option<String>,
    /// The application's name, as its sessions are bound to it [default: the variable SESSION_APPLICATION, or none]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<String>,
    /// Say of each value only what kind it is and how large
    #[arg(long)]
    pub(crate) hide_values: bool,
    #[command(flatten)]
    pub(crate) secret: Secret,
    /// With a store it also says whether the session is alive there, or was revoked
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Args, Debug)]
pub(crate) struct Rotate {
    /// The longest that a session of the application may live, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * 3_600)]
    pub(crate) longest_life: u64,
    #[command(flatten)]
    pub(crate) secret: Secret,
}
