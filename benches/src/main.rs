//! `run.sh` says what there is.

use std::env;
use std::io;
use std::process::ExitCode;

use session_benches::work::{Size, Unit};
use session_benches::{callgrind, contender, instructions, time};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((what, words)) => run(what, words),
        None => Err(io::Error::other("say what to measure: see run.sh")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(what: &str, words: &[String]) -> io::Result<()> {
    match what {
        "contenders" => contender::all().iter().for_each(|entry| println!("{}", entry.name)),
        "unit" => return unit(words),
        "instructions" => return instructions::print(words),
        "time" => time::print(words),
        _ => return Err(io::Error::other(format!("there is nothing called {what} to measure: see run.sh"))),
    }
    Ok(())
}

/// What [`callgrind`] looks at.
fn unit(words: &[String]) -> io::Result<()> {
    let known = match words {
        [name, unit, size] => contender::named(name).zip(Unit::named(unit)).zip(Size::named(size)),
        _ => None,
    };
    let Some(((entry, unit), size)) = known else {
        return Err(io::Error::other("usage: unit CONTENDER W1…W6 small|large"));
    };
    let mut contender = (entry.make)();
    contender.prepare(unit, size, callgrind::COUNT);
    contender.run();
    Ok(())
}
