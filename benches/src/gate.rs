//! The gate: what our own units cost must not rise by more than a twentieth, unless the baseline is changed on purpose.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs, io};

use serde::{Deserialize, Serialize};

use crate::callgrind;
use crate::work::{Size, Unit};

const TOLERANCE: f64 = 1.05;
const REWRITE: &str = "benches/gate.sh --write";

/// What is compared, and where it was measured: other compilers and allocators give other numbers for the same code.
#[derive(Serialize, Deserialize)]
struct Baseline {
    rustc: String,
    valgrind: String,
    libc: String,
    units: BTreeMap<String, Cost>,
}

/// What ours adds to the bare framework, for one request.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

/// Measures and writes the baseline.
///
/// # Errors
/// Without valgrind, or if the file can't be written.
pub fn write() -> io::Result<()> {
    let (valgrind, units) = (version("valgrind")?, measure(true)?);
    let baseline = Baseline { rustc: version("rustc")?, valgrind, libc: version("ldd")?, units };
    fs::write(file(), serde_json::to_string_pretty(&baseline)? + "\n")?;
    println!("{} is written: commit it with the reason why the numbers changed", file().display());
    Ok(())
}

/// Measures and compares with the baseline.
///
/// # Errors
/// If something costs more than a twentieth more, or the baseline is of another machine.
pub fn check() -> io::Result<()> {
    let baseline: Baseline = serde_json::from_str(&fs::read_to_string(file())?)?;
    let counts_instructions = callgrind::is_installed();
    if !counts_instructions && env::var_os("CI").is_some() {
        return Err(io::Error::other("valgrind is not installed: apt-get install valgrind"));
    }
    let measured = measure(counts_instructions)?;
    let mut worse = 0;
    println!(
        "{:22}{:>14}{:>10}{:>14}{:>10}",
        "beyond the framework", "instructions", "baseline", "allocations", "baseline"
    );
    for (name, was) in &baseline.units {
        let Some(is) = measured.get(name) else {
            return Err(io::Error::other(format!("the baseline has {name}, which is not measured: {REWRITE}")));
        };
        let rises = |is: f64, was: f64| is > was * TOLERANCE;
        let is_worse = rises(is.allocations, was.allocations) || rises(is.instructions, was.instructions);
        worse += usize::from(is_worse);
        let Cost { instructions, allocations } = is;
        let mark = if is_worse { "  more than 5 % above" } else { "" };
        println!(
            "{name:22}{instructions:>14.0}{:>10.0}{allocations:>14.1}{:>10.1}{mark}",
            was.instructions, was.allocations
        );
    }
    if !counts_instructions {
        println!("valgrind is not installed: INSTRUCTIONS WERE NOT COUNTED, allocations alone were compared");
    } else {
        same("rustc", &baseline.rustc)?;
        same("valgrind", &baseline.valgrind)?;
        same("ldd", &baseline.libc)?;
    }
    if worse > 0 {
        return Err(io::Error::other(format!("{worse} units cost more. If that is worth it: {REWRITE}")));
    }
    println!("{} units cost no more than before", measured.len());
    Ok(())
}

/// Numbers of two compilers can't be compared, so nothing passes by chance.
fn same(program: &str, was: &str) -> io::Result<()> {
    let is = version(program)?;
    if is == was {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the baseline was measured with `{was}`, and this is `{is}`. Look at the table above, then: {REWRITE}"
    )))
}

fn version(program: &str) -> io::Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

fn measure(counts_instructions: bool) -> io::Result<BTreeMap<String, Cost>> {
    let mut costs = BTreeMap::new();
    for size in Size::ALL {
        for unit in Unit::ALL {
            let cost = |contender: &str| -> io::Result<Cost> {
                let instructions = if counts_instructions { callgrind::count(contender, unit, size)?.all } else { 0.0 };
                Ok(Cost { instructions, allocations: allocations(contender, unit, size)? })
            };
            let (ours, bare) = (cost("axum/ours")?, cost("axum/bare")?);
            let cost = Cost {
                instructions: (ours.instructions - bare.instructions).round(),
                allocations: ((ours.allocations - bare.allocations) * 10.0).round() / 10.0,
            };
            costs.insert(format!("axum {} {}", unit.name(), size.name()), cost);
        }
    }
    Ok(costs)
}

/// The program with the counting allocator is built beside this one.
fn allocations(contender: &str, unit: Unit, size: Size) -> io::Result<f64> {
    let program = env::current_exe()?.with_file_name("counted");
    let output = Command::new(program).args(["unit", contender, unit.name(), size.name()]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        io::Error::other(format!("{contender} {}: {}", unit.name(), String::from_utf8_lossy(&output.stderr)))
    })
}
