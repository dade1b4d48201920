#!/usr/bin/env bash
# Fuzzes every target for so many seconds each, 20 if you don't say otherwise; 600 is a good long run. `fuzz/run.sh 600 cookie token`
# takes these only. Before that, and where there is no nightly toolchain with cargo-fuzz instead of it, the committed corpora go through
# the same functions.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-20}
shift || true
[ $# -gt 0 ] || set -- cookie token record csrf redis_reply sql_row

cargo test --locked --quiet --no-default-features --lib

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
  echo "NOT FUZZED: only the committed corpora were replayed, because fuzzing needs a nightly toolchain and cargo-fuzz" >&2
  echo "  (rustup toolchain install nightly; cargo install cargo-fuzz)" >&2
  exit 0
fi
# None of our code is unsafe, so the sanitizers would watch other people's alone.
cargo +nightly fuzz build --fuzz-dir . --sanitizer none
for target in "$@"; do
  printf '\n== %s: %s seconds\n' "$target" "$seconds"
  # What is found anew goes to a folder that is not committed.
  mkdir -p "target/corpus/$target"
  cargo +nightly fuzz run --fuzz-dir . --sanitizer none "$target" "target/corpus/$target" "corpus/$target" -- \
    -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 2>&1 |
    grep -vE '^#[0-9]+\s+(NEW|REDUCE|RELOAD|pulse)|^INFO'
done
echo
echo "no target found anything"
