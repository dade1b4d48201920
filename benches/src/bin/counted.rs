//! What only a program with a counting allocator can tell: allocations of every unit, and the memory of many sessions.

use std::env;
use std::process::ExitCode;

use session_benches::allocation::{Allocations, Counting};
use session_benches::contender::{Entry, all, named};
use session_benches::memory;
use session_benches::work::{Size, Unit};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 300;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["memory"] => memory::print(1_000_000),
        ["allocations", ..] => print(&arguments[1..]),
        // For the gate.
        ["unit", name, unit, size] => {
            let (Some(entry), Some(unit), Some(size)) = (named(name), Unit::named(unit), Size::named(size)) else {
                return ExitCode::FAILURE;
            };
            println!("{}", count(&entry, unit, size).0);
        }
        _ => {
            eprintln!("usage: counted memory | allocations [WORD…] | unit CONTENDER W1…W6 small|large");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn print(words: &[String]) {
    for size in Size::ALL {
        println!("\nAllocations per request, and bytes asked for, {} sessions, the framework's included", size.name());
        println!("{:34}{}", "", Unit::ALL.map(|unit| format!("{:>16}", unit.name())).concat());
        for entry in all().iter().filter(|entry| entry.is_among(words)) {
            let mut line = format!("{:34}", entry.name);
            for unit in Unit::ALL {
                if entry.does(unit) {
                    let (calls, bytes) = count(entry, unit, size);
                    line += &format!("{calls:>8.1} {bytes:>7.0}");
                } else {
                    line += &format!("{:>16}", "cannot");
                }
            }
            println!("{line}");
        }
    }
}

/// Calls and bytes of one request.
fn count(entry: &Entry, unit: Unit, size: Size) -> (f64, f64) {
    let mut contender = (entry.make)();
    contender.prepare(unit, size, COUNT);
    let before = Allocations::now();
    contender.run();
    let Allocations { calls, bytes, .. } = Allocations::now().since(before);
    (calls as f64 / COUNT as f64, bytes as f64 / COUNT as f64)
}
