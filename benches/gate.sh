#!/bin/sh
# Fails if a unit of ours costs more than 5 % more instructions or allocations than baseline.json says. Builds none of the peers.
#
#   ./gate.sh            compares
#   ./gate.sh --write    writes the baseline anew, on purpose
set -eu
cd "$(dirname "$0")"
cargo build --release --locked
exec target/release/session-benches gate "$@"
