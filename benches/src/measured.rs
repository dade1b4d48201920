//! The one function whose inside is counted: `valgrind --tool=callgrind --toggle-collect=session_benches_measured` finds it
//! by its name.

use std::hint::black_box;

/// Runs `work` inside a function with a name that callgrind can find.
pub fn measured(mut work: impl FnMut()) {
    session_benches_measured(&mut work);
}

#[inline(never)]
#[unsafe(no_mangle)]
fn session_benches_measured(work: &mut dyn FnMut()) {
    work();
    // Not a tail call, which would end the measurement at once.
    black_box(());
}
