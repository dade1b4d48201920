//! Counts the instructions of every unit, contender and size. Arguments: words, of which one has to be in a contender's name.

use std::collections::HashMap;
use std::env;
use std::process::ExitCode;

use session_benches::callgrind::{Instructions, count, is_installed};
use session_benches::contender::{all, framework};
use session_benches::work::{Size, Unit};

fn main() -> ExitCode {
    if !is_installed() {
        eprintln!("valgrind is not installed: nothing was counted");
        return ExitCode::FAILURE;
    }
    let words: Vec<_> = env::args().skip(1).collect();
    let is_asked = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    for size in Size::ALL {
        println!(
            "\n{} sessions: instructions per request beyond the bare framework's; in brackets those outside of hash and cipher",
            size.name()
        );
        println!("{:32}{}", "", Unit::ALL.map(|unit| format!("{:>19}", unit.name())).concat());
        let mut bare = HashMap::<(&str, &str), Instructions>::new();
        for entry in all() {
            let is_bare = entry.name.ends_with("/bare");
            if !is_bare && !is_asked(entry.name) {
                continue;
            }
            let mut line = format!("{:32}", entry.name);
            for unit in Unit::ALL {
                let counted = match count(entry.name, unit, size) {
                    Ok(counted) => counted,
                    Err(error) => {
                        eprintln!("{} {}: {error}", entry.name, unit.name());
                        return ExitCode::FAILURE;
                    }
                };
                let key = (framework(entry.name), unit.name());
                let shown = if is_bare {
                    bare.insert(key, counted);
                    counted
                } else {
                    counted.over(bare[&key])
                };
                line += &format!("{:>10.0} ({:>6.0})", shown.all, shown.rest());
            }
            println!("{line}{}", if is_bare { "  in all" } else { "" });
        }
    }
    ExitCode::SUCCESS
}
