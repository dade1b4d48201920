#!/bin/sh
# All contenders in one run, or one table of it. About an hour in all, most of it valgrind's.
#
#   ./run.sh                        everything
#   ./run.sh instructions axum      one table, of contenders with one of these words in their names
#   ./run.sh growth --ten-million   takes 6 GB of memory
#
# Tables: instructions allocations time threads memory redis growth sweep
set -eu
cd "$(dirname "$0")"
cargo build --release --features peers,redis

measure() {
    case $1 in
        allocations | memory) target/release/counted "$@" ;;
        *) target/release/session-benches "$@" ;;
    esac
}

if [ $# -gt 0 ]; then
    measure "$@"
else
    for table in instructions allocations time threads memory redis growth sweep; do
        measure $table
    done
fi
