//! Counts the allocations of every unit, contender and size. Arguments: words, of which one has to be in a contender's name.

use std::env;

use session_benches::allocation::{Allocations, Counting};
use session_benches::contender::all;
use session_benches::work::{Size, Unit};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 300;

fn main() {
    let words: Vec<_> = env::args().skip(1).collect();
    for size in Size::ALL {
        println!("\n{} sessions: allocations per request, and bytes asked for, the framework's included", size.name());
        println!("{:34}{}", "", Unit::ALL.map(|unit| format!("{:>16}", unit.name())).concat());
        for entry in all().iter().filter(|entry| entry.is_among(&words)) {
            let mut line = format!("{:34}", entry.name);
            for unit in Unit::ALL {
                if !entry.does(unit) {
                    line += &format!("{:>16}", "cannot");
                    continue;
                }
                let mut contender = (entry.make)();
                contender.prepare(unit, size, COUNT);
                let before = Allocations::now();
                contender.run();
                let Allocations { calls, bytes, .. } = Allocations::now().since(before);
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let (calls, bytes) = (calls as f64 / COUNT as f64, bytes as f64 / COUNT as f64);
                line += &format!("{calls:>8.1} {bytes:>7.0}");
            }
            println!("{line}");
        }
    }
}
