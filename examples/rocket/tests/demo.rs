//! The program as the people in front of it see it.

#[test]
fn the_demo_keeps_its_promises() {
    example_common::acceptance::play(env!("CARGO_BIN_EXE_example-rocket")).unwrap();
}
