#!/usr/bin/env bash
# Builds everything and runs all tests.
#
#   contrib/test.sh [all|fast|asan|fuzz|release]
#
#   fast      every test in one lightly optimised build (preset dev, build-dev/), and the Node client's: the one for
#             between two edits
#   asan      every test under AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer (preset asan, build-asan/)
#   fuzz      every fuzz target for FUZZ_SECONDS (10), from its seeds (clang, build-fuzz/)
#   release   what a user gets (build-release/): the integration tests, the Node client's and the demo
#   all       asan, fuzz, and release with those of the integration tests that see less under sanitizers; what several
#             versions of ssh go through is the installed one's under sanitizers, and the others' in the release
#
# TEST_JOBS tests run at a time: two for each processor unless set, as most of them wait most of the time.
#
# In:  a clone, and the packages that contrib/build.sh --for-tests installs. Root is not needed after that; tests that
#      want it say that they were skipped.
# Out: exit status 0 only if nothing failed. The last line is "N passed, N failed": test cases, fuzz targets, the demo;
#      what could not even be built is one failure.
# Invariant: no process and no temporary file is left; what was built stays, for the next run, in build*/ and in
# contrib/client-node/{node_modules,dist}/.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
exec </dev/null
jobs=$(nproc)
test_jobs=${TEST_JOBS:-$((2 * jobs))}
fuzz_seconds=${FUZZ_SECONDS:-10}

passed=0 failed=0 skipped=0
failures=()
say() { printf '\n==> %s\n' "$*"; }
succeed() { passed=$((passed + 1)); }
fail() {
  failed=$((failed + 1))
  failures+=("$1")
  printf '\ntest.sh: failed: %s\n' "$1" >&2
}

# quietly NAME COMMAND…: shows what the command said only if it fails, which is then the failure NAME.
quietly() {
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then return; fi
  tail -n 200 <<<"$output" >&2
  fail "$name"
  return 1
}

# build NAME DIRECTORY TARGETS CMAKE-ARGUMENTS…
build() {
  local name=$1 directory=$2 started=$SECONDS targets
  read -ra targets <<<"$3"
  shift 3
  say "building $name in $directory/"
  quietly "building $name" cmake "$@" ${JUMPAGENT_DEPS:+"-DJUMPAGENT_DEPS=$JUMPAGENT_DEPS"} || return
  quietly "building $name" cmake --build "$directory" --target "${targets[@]}" || return
  echo "    $((SECONDS - started)) s"
}

# tell_failed_tests CTEST_DIRECTORY: adds a line for each failed test, its name and what its first assertion said, so that
# the summary at the end tells it, whatever became of the pages before.
tell_failed_tests() {
  local number name
  while IFS=: read -r number name; do
    failures+=("  $name$(failure_of "$1/LastTest.log" "$number" "$name")")
  done <"$1/LastTestsFailed.log"
}

# failure_of LOG NUMBER NAME: the lines about the first failed assertion of that test (or the last ones it printed).
failure_of() {
  awk -v start="^$2/[0-9]+ Test(ing)?: " '
    $0 ~ start { inside = 1 }
    inside && /^<end of output>/ { exit }
    inside { lines[++n] = $0; if (!first && /: Failure$|ERROR: |runtime error: /) first = n }
    END {
      if (!first) first = n > 12 ? n - 11 : 1
      for (i = first; i <= n && i < first + 12; i++) printf "\n      %s", substr(lines[i], 1, 200)
    }' "$1"
}

# run_tests NAME DIRECTORY CTEST-ARGUMENTS…: adds ctest's counts to ours.
run_tests() {
  local name=$1 directory=$2 report total bad skip
  shift 2
  say "running $name"
  report=$directory/test-report.xml
  rm -f "$report"
  ctest --test-dir "$directory" -j "$test_jobs" --output-on-failure --no-tests=error --output-junit "$root/$report" "$@"
  local status=$?
  count() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$report" | head -n 1; }
  if [[ ! -s $report ]]; then
    fail "$name: ctest ended with status $status and without a report"
    return
  fi
  total=$(count tests) bad=$(count failures) skip=$(($(count skipped) + $(count disabled)))
  if ((skip > 0)); then
    echo "skipped, because:"
    grep -A1 ': Skipped$' "$directory/Testing/Temporary/LastTest.log" | grep -vE ': Skipped$|^--$' | sort | uniq -c
  fi
  passed=$((passed + total - bad - skip)) failed=$((failed + bad)) skipped=$((skipped + skip))
  if ((bad > 0)); then
    failures+=("$name: $bad of $total")
    tell_failed_tests "$directory/Testing/Temporary"
  elif ((status != 0)); then
    fail "$name: ctest ended with status $status"
  fi
}

# The development tools come from npm's registry, once.
install_client_tools() {
  local installed=contrib/client-node/node_modules/.package-lock.json
  [[ $installed -nt contrib/client-node/package-lock.json ]] || npm --prefix contrib/client-node ci
}

# run_client BUILD_DIRECTORY: the Node client's tests with the programs there.
run_client() {
  local report=$1/client-node.tap status
  say "the Node client"
  quietly "installing the Node client's development tools" install_client_tools || return
  quietly "building the Node client" npm --prefix contrib/client-node run build || return
  JUMPAGENT_BIN_DIR=$root/$1/bin timeout 900 npm --prefix contrib/client-node test >"$report" 2>&1
  status=$?
  count() { sed -n "s/^# $1 //p" "$report" | tail -n 1; }
  local pass bad skip
  pass=$(count pass) skip=$(count skipped) bad=$(($(count fail) + 0 + $(count cancelled) + 0))
  passed=$((passed + pass)) failed=$((failed + bad)) skipped=$((skipped + skip))
  ((skip == 0)) || sed -n 's/^ *ok .* # SKIP */skipped, because: /p' "$report" | sort | uniq -c
  echo "    $((pass)) passed, $bad failed"
  if ((bad > 0)); then
    tail -n 200 "$report" >&2
    failures+=("the Node client: $bad tests (all of its output is in $report)")
  elif ((status != 0 || pass == 0)); then
    tail -n 200 "$report" >&2
    fail "the Node client: npm test ended with status $status after $((pass)) tests"
  fi
}

run_fast() {
  build "all tests" build-dev all --preset dev || return
  run_tests "all tests" build-dev
  run_client build-dev
}

# run_asan CTEST-ARGUMENTS…
run_asan() {
  local -x ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
  local -x UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
  build "all tests with sanitizers" build-asan all --preset asan && run_tests "all tests under sanitizers" build-asan "$@"
}

# For the agent they differ little: under sanitizers each case is run by the installed version.
readonly other_clients='MuxLikeSsh\.[^/]*/Openssh'

# Suites of integration tests that measure less, or nothing, where there are sanitizers, as what they use tells; and those
# about how the process ends, which is another matter there.
blurred_by_sanitizers() {
  local files
  mapfile -t files < <(grep -lE 'kSanitized|bulk_size|MachineDelay|jumpagent\(\{"down"' tests/integration/*_test.cpp)
  sed -nE 's/^(TEST|TEST_F|TEST_P)\((\w+),.*/\2/p' "${files[@]}" | sort -u | paste -sd '|'
}

# run_release CTEST-ARGUMENTS…
run_release() {
  build "the release and its tests" build-release "jumpagent jumpctl integration_tests" --preset release -B build-release \
    -DJUMPAGENT_WERROR=OFF -DJUMPAGENT_TEST_FLAGS=-O0 || return
  run_tests "the integration tests of the release" build-release -L '^integration$' "$@"
  run_client build-release
  run_demo
}

# fuzz_one TARGET: finds go to build-fuzz/finds/, new inputs to build-fuzz/corpus/; the seeds in tests/ stay as they are.
fuzz_one() {
  local target=$1 name=${1%_fuzz} log=build-fuzz/$1.log seeds=()
  [[ ! -d tests/fuzz/corpus/$name ]] || seeds=("tests/fuzz/corpus/$name")
  mkdir -p "build-fuzz/corpus/$name" build-fuzz/finds
  "build-fuzz/bin/$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="build-fuzz/finds/$target-" "build-fuzz/corpus/$name" "${seeds[@]}" >"$log" 2>&1
}

run_fuzz() {
  local targets flags='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
  mapfile -t targets < <(find tests/fuzz -name '*_fuzz.cpp' -printf '%f\n' | sed 's/\.cpp$//' | sort)
  if ((${#targets[@]} == 0)); then
    fail "fuzzing: no target in tests/fuzz"
    return
  fi
  build "the fuzz targets" build-fuzz "${targets[*]}" -S . -B build-fuzz -G Ninja -DJUMPAGENT_FUZZ=ON \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
    "-DCMAKE_CXX_FLAGS=-O1 -g1 $flags" || return
  say "fuzzing: ${#targets[@]} targets, $fuzz_seconds s each, $jobs at a time"
  export -f fuzz_one
  export fuzz_seconds
  printf '%s\n' "${targets[@]}" |
    xargs -P "$jobs" -I{} bash -c 'rm -f build-fuzz/{}.ok; if fuzz_one {}; then touch build-fuzz/{}.ok; fi'
  for target in "${targets[@]}"; do
    if [[ -e build-fuzz/$target.ok ]]; then
      succeed
      echo "    $target: $(grep -E '^Done|DONE' "build-fuzz/$target.log" | tail -n 1)"
    else
      tail -n 60 "build-fuzz/$target.log" >&2
      fail "fuzzing $target (the input is in build-fuzz/finds/)"
    fi
  done
}

run_demo() {
  say "the demo"
  if contrib/demo.sh build-release; then succeed; else fail "contrib/demo.sh"; fi
}

summary() {
  say "summary"
  ((${#failures[@]} == 0)) || printf 'failed: %s\n' "${failures[@]}"
  ((skipped == 0)) || echo "$skipped skipped (the reasons are above)"
  echo "$((SECONDS / 60)) min $((SECONDS % 60)) s"
  printf '%d passed, %d failed\n' "$passed" "$failed"
}

what=${1:-all}
case $what in
  all | fast | asan | fuzz | release) ;;
  -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
  *) echo "usage: contrib/test.sh [all|fast|asan|fuzz|release]" >&2; exit 2 ;;
esac

if ! contrib/build.sh --for-tests --deps-only; then
  fail "preparing the machine (contrib/build.sh --for-tests --deps-only)"
  summary
  exit 1
fi
# One libssh2 for all builds; where there is none here, the system's is the right one and CMake finds it.
if [[ -d build/deps ]]; then export JUMPAGENT_DEPS=${JUMPAGENT_DEPS:-$root/build/deps}; fi

case $what in
  all)
    run_release -R "[./]($(blurred_by_sanitizers))\\.|$other_clients"
    run_asan -E "$other_clients"
    run_fuzz
    ;;
  *) "run_$what" ;;
esac
summary
((failed == 0))
