//! `sessionctl`: what an operator does with web sessions. The README says how.

mod arguments;
mod failure;
mod output;

mod progress;
mod session;
mod sources;
mod store;

mod commands;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::output::{Answer, json};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let as_json = arguments.json;
    match run(arguments) {
        Ok(answer) => print(&answer, as_json),
        Err(failure) => complain(&failure, as_json),
    }
}

fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Machine)?.block_on(commands::run(arguments.command))
}

fn print(answer: &Answer, as_json: bool) -> ExitCode {
    let text = if as_json { json(&answer.programs) } else { answer.people.clone() };
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        // Whoever read it has had enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => return complain(&Failure::Machine(error), as_json),
    }
    if !as_json {
        answer.notes.iter().for_each(|note| eprintln!("{note}"));
    }
    answer.code.into()
}

fn complain(failure: &Failure, as_json: bool) -> ExitCode {
    let code = failure.code();
    let text = failure.told();
    if as_json {
        eprintln!("{}", json(&serde_json::json!({ "error": text, "exit_code": code as u8 })));
    } else {
        eprintln!("sessionctl: {text}");
    }
    code.into()
}

/// What clap says, but for an argument that is no option: it may be a secret or a cookie that somebody has pasted.
fn refuse(error: &clap::Error) -> ExitCode {
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    let stray = kinds.into_iter().any(|kind| match error.get(kind) {
        Some(ContextValue::String(text)) => !text.starts_with('-'),
        _ => false,
    });
    let told_apart = matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
    if told_apart && stray {
        return complain(&Failure::Stray, false);
    }
    // Help and version are errors to clap, and go to stdout.
    let _ = error.print();
    if error.use_stderr() { failure::Exit::Usage.into() } else { ExitCode::SUCCESS }
}
