#!/usr/bin/env bash
# Runs the long versions of the tests that are short elsewhere.
#
#   contrib/soak.sh [soak] [SECONDS] [--sanitize]
#   contrib/soak.sh chaos|cuts|outages [NUMBER] [--sanitize]
#
#   soak         two dozen clients open, close, stall, half-close, reset and abandon connections through several
#                forwards of one agent, for SECONDS (600); afterwards nothing may be left of them
#   chaos        the same through paths, servers and agents that break, for NUMBER seconds (1800)
#   cuts         the way to two bastions is cut NUMBER times (50) while bytes flow; root's
#   outages      servers are away, agents and machines asleep, for NUMBER seconds (60); root's, in part
#   --sanitize   with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (preset asan, build-asan/)
#                instead of the release (build-release/)
#
# In:  a clone, and the packages that contrib/build.sh --for-tests installs. JUMPAGENT_SOAK_SEED, JUMPAGENT_CHAOS_SEED or
#      JUMPAGENT_CUT_SEED in the environment repeats what another run did.
# Out: the seed, how many connections of which kind there were, and what the agent needed for them. Exit status 0
#      if every byte was right and nothing was left.
# Invariant: no process and no temporary file is left.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
usage() { sed -n '4,5s/^#  *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mode=soak number='' preset=release build_dir=build-release werror=OFF
for argument in "$@"; do
  case $argument in
    soak | chaos | cuts | outages) mode=$argument ;;
    --sanitize) preset=asan build_dir=build-asan werror=ON ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *[!0-9]* | '') usage ;;
    *) number=$argument ;;
  esac
done
case $mode in
  soak) filter='Soak.*' variable=JUMPAGENT_SOAK_SECONDS usual=600 ;;
  chaos) filter='Chaos.*' variable=JUMPAGENT_CHAOS_SECONDS usual=1800 ;;
  cuts) filter='CutCycles.*' variable=JUMPAGENT_CUT_CYCLES usual=50 ;;
  outages) filter='*Outage.*' variable=JUMPAGENT_OUTAGE_SECONDS usual=60 ;;
esac

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

echo "==> $mode"
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export "$variable=${number:-$usual}"
"$build_dir/bin/integration_tests" --gtest_filter="$filter"
