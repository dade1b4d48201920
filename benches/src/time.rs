//! The table of times: every contender does the same, in turns, many times over, and what counts is how they compare within
//! one turn.

use std::collections::HashMap;
use std::time::Instant;

use crate::contender::{Entry, all};
use crate::work::{Size, Unit};

const TURNS: usize = 41;
const REQUESTS: usize = 400;

/// Prints for each framework how long a unit takes beyond the bare framework, in shares of ours: medians of the turns.
pub fn print(words: &[String]) {
    for size in Size::ALL {
        println!(
            "\nTime beyond the bare framework's, {} sessions: nanoseconds, and in brackets ours divided by it",
            size.name()
        );
        println!("{:34}{}", "", Unit::ALL.map(|unit| format!("{:>17}", unit.name())).concat());
        let mut lines = HashMap::<&str, String>::new();
        let asked: Vec<_> =
            all().into_iter().filter(|entry| entry.is_among(words)).map(|entry| entry.framework()).collect();
        let is_needed =
            |entry: &Entry| entry.is_among(words) || (entry.is_bare() && asked.contains(&entry.framework()));
        let entries: Vec<_> = all().into_iter().filter(is_needed).collect();
        for framework in ["axum", "actix", "rocket", "warp"] {
            let entries: Vec<_> = entries.iter().filter(|entry| entry.framework() == framework).collect();
            for unit in Unit::ALL {
                for (name, cell) in compare(&entries, unit, size) {
                    lines.entry(name).or_insert_with(|| format!("{name:34}")).push_str(&cell);
                }
            }
            entries.iter().filter_map(|entry| lines.get(entry.name)).for_each(|line| println!("{line}"));
        }
    }
}

fn compare(entries: &[&Entry], unit: Unit, size: Size) -> Vec<(&'static str, String)> {
    let mut running: Vec<_> =
        entries.iter().filter(|entry| entry.does(unit)).map(|entry| (*entry, (entry.make)())).collect();
    let mut times = HashMap::<&str, Vec<f64>>::new();
    for turn in 0..TURNS {
        for (entry, contender) in &mut running {
            contender.prepare(unit, size, REQUESTS);
            let start = Instant::now();
            contender.run();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let each = start.elapsed().as_nanos() as f64 / REQUESTS as f64;
            // The first turn warms up.
            if turn > 0 {
                times.entry(entry.name).or_default().push(each);
            }
        }
    }
    let bare = running.iter().find(|(entry, _)| entry.is_bare()).map(|(entry, _)| times[entry.name].clone());
    let over = |name: &str| -> Vec<f64> {
        let bare = bare.as_deref().unwrap_or_default();
        times[name].iter().zip(bare).map(|(time, bare)| time - bare).collect()
    };
    let ours = |entry: &Entry| match entry.name {
        "actix/actix-session-private" => "actix/ours-sealed".to_owned(),
        "actix/actix-session-signed" => "actix/ours-signed".to_owned(),
        _ => format!("{}/ours", entry.framework()),
    };
    let cell = |entry: &&Entry| {
        let text = if !entry.does(unit) {
            format!("{:>17}", "cannot")
        } else if entry.is_bare() {
            format!("{:>9.0} in all", median(times[entry.name].clone()))
        } else {
            let own = over(entry.name);
            let ratios = match times.get(ours(entry).as_str()) {
                Some(_) => over(&ours(entry)).iter().zip(&own).map(|(ours, own)| ours / own).collect(),
                None => vec![f64::NAN],
            };
            format!("{:>8.0} {:>8}", median(own), format!("({:.2})", median(ratios)))
        };
        (entry.name, text)
    };
    entries.iter().map(cell).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
