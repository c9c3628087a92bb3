#!/usr/bin/env bash
# Measures jumpagent and OpenSSH side by side on this machine.
#
#   contrib/bench.sh [SCENARIO…] [--rounds N] [--quick] [--json FILE]
#
#   SCENARIO      see --list; all of them (about a quarter of an hour) unless named
#   --rounds N    how often each of the two gets its turn (3)
#   --quick       one round, shorter turns: a look rather than a measurement
#   --json FILE   also every sample, for programs
#   --list        the scenarios
#
# In:  a clone, and the packages that contrib/build.sh --for-tests installs. BUILD_DIR in the environment names another
#      directory than build-release/.
# Out: a table of medians and ratios with the targets beside them. Exit status 0 if everything could be measured,
#      whether or not a target was met.
# Invariant: no process and no temporary file is left.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=${BUILD_DIR:-$root/build-release}
case ${1:-} in
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac

load=$(cut -d' ' -f1 /proc/loadavg)  # before we make our own
"$root/contrib/build.sh" --for-tests --deps-only
# One libssh2 for all builds; where there is none here, the system's is the right one and CMake finds it.
if [[ -d $root/build/deps ]]; then export JUMPAGENT_DEPS=${JUMPAGENT_DEPS:-$root/build/deps}; fi

echo "==> building the release in $build_dir"
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
if ! {
  cmake -S "$root" -B "$build_dir" -G Ninja -DCMAKE_BUILD_TYPE=Release -DJUMPAGENT_TESTS=ON \
    ${JUMPAGENT_DEPS:+"-DJUMPAGENT_DEPS=$JUMPAGENT_DEPS"} &&
    cmake --build "$build_dir" --target jumpagent jumpctl jumpbench
} >"$log" 2>&1; then
  tail -n 60 "$log" >&2
  exit 1
fi

echo "==> measuring"
JUMPBENCH_LOAD=$load "$build_dir/bin/jumpbench" "$@"
