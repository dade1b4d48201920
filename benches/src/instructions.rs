//! The table of instructions.

use std::collections::HashMap;
use std::io;

use crate::callgrind::{Instructions, count, is_installed};
use crate::contender::all;
use crate::work::{Size, Unit};

/// Prints the instructions of every unit, contender and size. One of `words` has to be in a contender's name.
///
/// # Errors
/// If there is no valgrind, or a contender fails.
pub fn print(words: &[String]) -> io::Result<()> {
    if !is_installed() {
        return Err(io::Error::other("valgrind is not installed: no instructions were counted"));
    }
    let asked: Vec<_> =
        all().into_iter().filter(|entry| entry.is_among(words)).map(|entry| entry.framework()).collect();
    for size in Size::ALL {
        println!(
            "\nInstructions per request beyond the bare framework's, {} sessions; in brackets those outside of hash and cipher",
            size.name()
        );
        println!("{:34}{}", "", Unit::ALL.map(|unit| format!("{:>17}", unit.name())).concat());
        let mut bare = HashMap::new();
        for entry in all() {
            if !(entry.is_among(words) || entry.is_bare()) || !asked.contains(&entry.framework()) {
                continue;
            }
            let mut line = format!("{:34}", entry.name);
            for unit in Unit::ALL {
                if !entry.does(unit) {
                    line += &format!("{:>17}", "cannot");
                    continue;
                }
                let counted = count(entry.name, unit, size)?;
                let shown = if entry.is_bare() {
                    bare.insert((entry.framework(), unit.name()), counted);
                    counted
                } else {
                    counted.over(bare.get(&(entry.framework(), unit.name())).copied().unwrap_or_default())
                };
                let Instructions { all, .. } = shown;
                line += &format!("{all:>8.0} {:>8}", format!("({:.0})", shown.rest()));
            }
            println!("{line}{}", if entry.is_bare() { "  in all" } else { "" });
        }
    }
    Ok(())
}
