# Shared by the scripts of deploy/: where the checkout and the cache are, and what the lock files put in the cache.
# Sourced, never run. Everything here is computed, nothing is read from a state file, so it cannot be stale.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
DEPLOY=$ROOT/deploy
TICKCAST_CACHE=${TICKCAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tickcast}
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$TICKCAST_CACHE/target}
export TICKCAST_CACHE CARGO_TARGET_DIR

# A new rustup install is found before its login shell is.
case ":$PATH:" in *":$HOME/.cargo/bin:"*) ;; *) PATH=$PATH:$HOME/.cargo/bin ;; esac

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# cache_dir NAME FILE... : the cache folder of what those lock files name.
cache_dir() {
    local name=$1
    shift
    printf '%s/%s-%s\n' "$TICKCAST_CACHE" "$name" "$(cat "$@" | sha256sum | cut -c1-16)"
}

kafka_dir() { cache_dir kafka "$DEPLOY/kafka/pom.xml" "$DEPLOY/kafka/jars.lock"; }
onnxruntime_dir() { cache_dir "onnxruntime-$(uname -m)" "$DEPLOY/requirements-onnxruntime.lock"; }

# A virtual environment is bound to the interpreter that made it, so its name carries the version.
test_python_dir() {
    cache_dir "python-test-$(python3 -c 'import platform; print(platform.python_version())')" "$DEPLOY/requirements-test.lock"
}

# The variables that point at the cache, one KEY=VALUE a line.
cache_env() {
    printf 'ORT_DYLIB_PATH=%s\n' "$(onnxruntime_dir)/libonnxruntime.so"
    printf 'TICKCAST_KAFKA_JARS=%s\n' "$(kafka_dir)/jars"
    printf 'TICKCAST_TEST_PYTHON=%s\n' "$(test_python_dir)/bin/python"
}

# load_env FILE... : export the KEY=VALUE lines of files that `cache_env` or `deploy/stack` wrote.
load_env() {
    local file
    set -a
    for file in "$@"; do
        # shellcheck disable=SC1090
        . "$file"
    done
    set +a
}
