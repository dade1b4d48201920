#!/usr/bin/env bash
# Everything that has to hold, cheap to dear. On a fresh machine it needs Rust and a C compiler, and nothing else.
set -euo pipefail
cd "$(dirname "$0")"

PATH="$PWD/target/tools/bin:$PATH"
# In CI each build is the first and the last one: nothing is kept for the next. A panic says where it was all the same.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=false

# What comes next, and the minutes so far.
step() { printf '\n== %s (%d:%02d)\n' "$*" $((SECONDS / 60)) $((SECONDS % 60)); }
refuse() { printf '%s\n' "$*" >&2; exit 1; }
# A program for the check alone: this version, below target/, and not optimised, for it has little to do.
tool() {
  CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=target/tools/build cargo install --quiet --locked --debug --root target/tools "$1"
}

command -v cargo >/dev/null || refuse "cargo is missing: install Rust 1.94 or newer (https://rustup.rs)"
for component in fmt clippy; do
  cargo "$component" --version >/dev/null 2>&1 || rustup component add "${component/fmt/rustfmt}"
done

published="session-core session-tower session-axum session-actix session-rocket session-warp session-sqlx session-redis session-stores session-testing session-cli session-manual"
packages() { printf -- '--package %s ' $published; }

step "formatting"
cargo fmt --all --check

step "the bars of ARCHITECTURE.md"
for file in $(git ls-files '*.rs'); do
  lines=$(wc -l <"$file")
  [ "$lines" -le 600 ] || refuse "$file has $lines lines: more than 600"
done
code_lines() { find "$1/src" -name '*.rs' -exec sed '/^#\[cfg(test)\]/,$d' {} + | grep -cvE '^\s*(//|$)'; }
for door in session-tower session-axum session-actix session-rocket session-warp; do
  lines=$(code_lines "$door")
  echo "$door: $lines lines of code"
  [ "$lines" -le 280 ] || refuse "$door is no thin door any more: $lines lines of code, more than 280"
done
if grep -rnwiE 'axum|actix|rocket|warp|hyper|tonic' session-core/src | grep -vE '^session-core/src/[a-z]+\.rs:[0-9]+:\s*//'; then
  refuse "session-core names a framework outside of its documentation"
fi
if grep -rnwiE 'cookie|http|hyper' session-sqlx/src session-redis/src; then
  refuse "a store knows of keys and records, nothing else"
fi

step "the tests that docs/security-requirements.md names"
grep -ohE '[a-z0-9/_-]+\.rs::[a-z0-9_]+' docs/security-requirements.md | sort -u | while IFS= read -r test; do
  grep -qE "fn ${test##*::}\(" "${test%%::*}" || refuse "docs/security-requirements.md names a test that is not there: $test"
done

step "clippy"
cargo clippy --workspace --all-targets --features session-stores/metrics,session-core/metrics -- -D warnings

step "each published crate by itself, and each of its features"
# A build of the whole workspace unifies features and hides a missing one.
tool cargo-hack@0.6.46
cargo hack check --locked --quiet --each-feature $(packages)
if cargo tree --quiet --package session-core --edges normal | grep -w metrics; then
  refuse "session-core brings the crate metrics along without its feature"
fi

step "licences and sources of what comes along"
tool cargo-deny@0.20.2
cargo deny --locked check bans licenses sources
if cargo tree --quiet --package session-core --all-features --edges normal --duplicates | grep .; then
  refuse "session-core brings two versions of a crate along"
fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet --features session-testing/servers,session-stores/metrics,session-core/metrics

step "the servers that stores are tested against, a browser, and Python"
# Only the programs: each test starts a server of its own, on a free port, in a temporary folder. Nothing that runs is touched.
missing() {
  local PATH="$PATH:/usr/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"
  command -v redis-server >/dev/null || echo redis-server
  command -v mariadbd >/dev/null || echo mariadb-server
  command -v initdb >/dev/null || echo postgresql
  command -v openssl >/dev/null || echo openssl
  command -v valgrind >/dev/null || echo valgrind
  command -v chromium >/dev/null || echo chromium
  command -v chromedriver >/dev/null || echo chromium-driver
  command -v python3 >/dev/null || echo python3
}
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing:" $(missing)
  # A package of a server starts it, unless this file forbids it.
  policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then
    policy=""
  else
    printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$policy"
  fi
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends $(missing); } \
    >target/servers.log 2>&1 || tail -20 target/servers.log >&2
  [ -z "$policy" ] || rm -f "$policy"
fi
for package in $(missing); do
  echo "NOT TESTED: what needs the package $package, because it is missing on this machine" >&2
done
[ -n "$(missing)" ] || echo "all are here"

step "every public function has an example, every dependency a use"
if command -v python3 >/dev/null; then
  docs/examples.py $published
  docs/dependencies.py
elif [ -n "${CI:-}" ]; then
  refuse "python3 is missing: examples and dependencies were not looked at"
fi

step "what would be published"
# Whole, and with what the code includes: building the packages, as `cargo publish` does, takes minutes.
rm -rf target/package
cargo package --quiet --locked --allow-dirty --no-verify $(packages)
for package in $published; do
  packed=$(tar tzf target/package/"$package"-*.crate | cut -d/ -f2-)
  included=$(grep -roE 'include_(str|bytes)!\("[^"]+' "$package/src" | sed -E 's|[^/]+\.rs:.*"||' || true)
  for file in $(git ls-files "$package") $included; do
    file=$(realpath -ms --relative-to="$package" "$file")
    grep -qxF "$file" <<<"$packed" || refuse "$package would be published without $file"
  done
done

step "what a new version may break"
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
  tool cargo-semver-checks@0.51.0
  cargo semver-checks --baseline-rev "$tag" $(packages)
else
  echo "there is no version to compare with: a tag such as v0.1.0"
fi

step "tests"
cargo test --workspace --features session-stores/metrics,session-core/metrics
# What the workspace's features hide: a build without stores says what to add, and one without TLS sends nothing unprotected.
cargo test --package session-stores --no-default-features --test urls
cargo test --package session-stores --features mysql,postgres,redis-cluster,redis-sentinel --test urls

step "fuzzing, ten seconds a target"
# On a toolchain that can't the committed inputs go through the targets' functions, and it says so.
if cargo +nightly --version >/dev/null 2>&1; then
  tool cargo-fuzz@0.13.1
fi
fuzz/run.sh 10

step "what a request costs"
(cd benches && cargo test --release --locked --quiet)
benches/gate.sh

step "all is well"
