#!/usr/bin/env bash
# Runs the soak: two dozen clients open, close, stall, half-close, reset and abandon connections through several
# forwards of one agent, and afterwards nothing may be left of them.
#
#   contrib/soak.sh [SECONDS] [--sanitize]
#
#   SECONDS      how long; 600 unless given
#   --sanitize   with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (preset asan, build-asan/)
#                instead of the release (build-release/)
#
# In:  a clone, and the packages that contrib/build.sh --for-tests installs. JUMPAGENT_SOAK_SEED in the environment
#      repeats what the clients of another run did.
# Out: the seed, how many connections of which kind there were, and what the agent needed for them. Exit status 0
#      if every byte was right and nothing was left.
# Invariant: no process and no temporary file is left.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
usage() { echo "usage: contrib/soak.sh [SECONDS] [--sanitize]" >&2; exit 2; }
seconds=600 preset=release build_dir=build-release werror=OFF
for argument in "$@"; do
  case $argument in
    --sanitize) preset=asan build_dir=build-asan werror=ON ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *[!0-9]* | '') usage ;;
    *) seconds=$argument ;;
  esac
done

"$root/contrib/build.sh" --for-tests --deps-only
# One libssh2 for all builds; where there is none here, the system's is the right one and CMake finds it.
if [[ -d $root/build/deps ]]; then export JUMPAGENT_DEPS=${JUMPAGENT_DEPS:-$root/build/deps}; fi

echo "==> building the preset $preset in $build_dir/"
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
if ! {
  cmake --preset "$preset" -B "$build_dir" -DJUMPAGENT_WERROR="$werror" \
    ${JUMPAGENT_DEPS:+"-DJUMPAGENT_DEPS=$JUMPAGENT_DEPS"} &&
    cmake --build "$build_dir" --target jumpagent jumpctl integration_tests
} >"$log" 2>&1; then
  tail -n 60 "$log" >&2
  exit 1
fi

echo "==> soaking"
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
JUMPAGENT_SOAK_SECONDS=$seconds "$build_dir/bin/integration_tests" --gtest_filter='Soak.*'
