//! `run.sh` says what there is.

use std::env;
use std::io;
use std::process::ExitCode;

use session_benches::work::{Size, Unit};
use session_benches::{callgrind, contender, gate, growth, instructions, sweep, threads, time};

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
    let words_are = |expected: &[&str]| words.iter().map(String::as_str).eq(expected.iter().copied());
    match what {
        "gate" if words_are(&["--write"]) => return gate::write(),
        "gate" if words_are(&[]) => return gate::check(),
        "contenders" => contender::all().iter().for_each(|entry| println!("{}", entry.name)),
        "unit" => return unit(words),
        "instructions" => return instructions::print(words),
        "time" => time::print(words),
        "threads" => threads::print(),
        "growth" => growth::print(if words_are(&["--ten-million"]) { 10_000_000 } else { 1_000_000 }),
        "sweep" => sweep::print(),
        #[cfg(feature = "redis")]
        "redis" => return session_benches::redis::print(),
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
