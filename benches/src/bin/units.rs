//! Sends requests of one unit to one contender, for callgrind to look at: see `instructions`, which calls it.

use std::env;
use std::process::ExitCode;

use session_benches::contender;
use session_benches::work::{Size, Unit};

const USAGE: &str = "usage: units CONTENDER W1…W6 small|large COUNT";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [name, unit, size, count] = arguments.as_slice() else {
        eprintln!("{USAGE}\ncontenders:");
        contender::all().iter().for_each(|entry| eprintln!("  {}", entry.name));
        return ExitCode::FAILURE;
    };
    let (Some(entry), Some(unit), Some(size), Ok(count)) =
        (contender::named(name), Unit::named(unit), Size::named(size), count.parse())
    else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let mut contender = (entry.make)();
    contender.prepare(unit, size, count);
    contender.run();
    ExitCode::SUCCESS
}
