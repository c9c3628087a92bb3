#!/usr/bin/env bash
# Makes a Debian machine ready and builds jumpagent and jumpctl.
#
#   contrib/build.sh [--for-demo] [--for-tests] [--deps-only] [BUILD_DIR]
#
# In:  a clone of this repository. BUILD_DIR is build/ at its top unless given.
# Out: BUILD_DIR/bin/{jumpagent,jumpctl}, and the static libssh2 that they are linked with in BUILD_DIR/deps. For tests also
#      newer OpenSSH clients than the installed one, in BUILD_DIR/deps/openssh-*/, as far as they can be had.
# Invariant: the system changes only by the Debian packages that are missing; everything else happens in BUILD_DIR.
# A second run finds its work done. What the tools had to say is in BUILD_DIR/build.log.
#
#   --for-demo, --for-tests   also the packages that contrib/demo.sh or contrib/test.sh need
#   --deps-only               stop before compiling jumpagent itself
#   JUMPAGENT_DEPS=DIR            use the libssh2 1.11.1 in DIR (include/libssh2.h, lib/libssh2.a)
#   JUMPAGENT_DEBIAN_MIRROR=URI   where to get libssh2's source and OpenSSH from; default: the mirror that apt-get uses
set -euo pipefail

libssh2_version=1.11.1
libssh2_suite=trixie  # the Debian release that has it
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Clients that the multiplexing server is tested with besides the installed one: a directory, the version from which on
# the installed one will do, the Debian releases to look in, and libraries that the machine's own may be too old for.
newer_clients=(
  "openssh-10 10.0 bookworm-backports"
  "openssh-10.3 10.3 trixie-backports,trixie libc6/trixie libssl3t64/trixie"
)

build_packages=(g++ cmake ninja-build pkg-config dpkg-dev libuv1-dev libssl-dev zlib1g-dev libspdlog-dev libfmt-dev
  libtomlplusplus-dev nlohmann-json3-dev libcxxopts-dev openssh-client)
demo_packages=(openssh-server curl libnss-wrapper)
test_packages=("${demo_packages[@]}" libgtest-dev clang libpam0g-dev dropbear-bin zsh fish tmux vim less rsync git
  desktop-file-utils libxml2-utils)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
for_demo=0 for_tests=0 deps_only=0 build_dir=
for argument in "$@"; do
  case $argument in
    --for-demo) for_demo=1 ;;
    --for-tests) for_tests=1 ;;
    --deps-only) deps_only=1 ;;
    -h | --help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "build.sh: unknown option $argument (see --help)" >&2; exit 2 ;;
    *) build_dir=$argument ;;
  esac
done
build_dir=$(realpath -m "${build_dir:-$root/build}")
deps=${JUMPAGENT_DEPS:-$build_dir/deps}
log=$build_dir/build.log

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'build.sh: %s\n' "$@" >&2
  exit 1
}

# step LABEL COMMAND…: runs it with its output in the log, of which the end is shown when it fails.
step() {
  local label=$1
  shift
  say "$label"
  printf '\n==> %s\n' "$label" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null && return
  printf '\nbuild.sh: this step failed: %s\n' "$label" >&2
  printf 'The end of %s:\n\n' "$log" >&2
  tail -n 40 "$log" >&2
  return 1
}

temporary=
service_guard=
clean_up() {
  [[ -z $temporary ]] || rm -rf -- "$temporary"
  [[ -z $service_guard ]] || as_root rm -f -- "$service_guard"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- Debian packages ---------------------------------------------------------------------------------------------------
has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }
can_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }
as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

# The distribution's libssh2 is used where it is the right one: no need to build it then.
distribution_has_libssh2() {
  local version
  version=$(apt-cache policy libssh2-1-dev 2>/dev/null | sed -n 's/^ *Candidate: //p')
  [[ $version == "$libssh2_version"-* ]]
}

# libFuzzer and the sanitizers' runtimes are in a package that carries clang's version in its name.
clang_runtime_package() {
  local depends
  depends=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null || apt-cache depends clang 2>/dev/null || true)
  [[ $depends =~ clang-([0-9]+) ]] && echo "libclang-rt-${BASH_REMATCH[1]}-dev"
}

# The tests of contrib/client-node/ take any Node from oldest_node on, wherever it is from; Debian 12 has it.
oldest_node=18
has_node() {
  command -v npm >/dev/null && (($(node --print 'parseInt(process.versions.node)' 2>/dev/null || echo 0) >= oldest_node))
}

wanted_packages() {
  printf '%s\n' "${build_packages[@]}"
  ((!for_demo)) || printf '%s\n' "${demo_packages[@]}"
  ((!for_tests)) || { printf '%s\n' "${test_packages[@]}"; clang_runtime_package || true; }
  ((!for_tests)) || has_node || printf '%s\n' nodejs npm
  if ! libssh2_is_ready && distribution_has_libssh2; then echo libssh2-1-dev; fi
}

missing_packages() {
  local wanted installed
  mapfile -t wanted < <(wanted_packages | sort -u)
  # dpkg-query fails when it has never heard of one of them, which is an answer too.
  installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
  for package in "${wanted[@]}"; do
    grep -qxF "$package installed" <<<"$installed" || echo "$package"
  done
}

# Installing openssh-server must not start a server on this machine: it is only used as a program.
keep_services_down() {
  local policy=/usr/sbin/policy-rc.d
  [[ ! -e $policy ]] && grep -qx openssh-server <<<"$1" || return 0
  service_guard=$policy
  printf '#!/bin/sh\nexit 101\n' | as_root sh -c "cat >$policy && chmod 755 $policy"
}

install_packages() {
  local missing
  missing=$(missing_packages)
  [[ -n $missing ]] || return 0
  if ! can_be_root; then
    die "these Debian packages are missing: ${missing//$'\n'/ }" \
      "install them with:" "  sudo apt-get update; sudo apt-get install --no-install-recommends ${missing//$'\n'/ }" \
      "then run this again"
  fi
  # A source of somebody else's may be broken: that matters only if the packages cannot be installed either.
  step "reading the package lists" as_root apt-get -q update || true
  missing=$(missing_packages)
  keep_services_down "$missing"
  # shellcheck disable=SC2086  # one word per package
  step "installing ${missing//$'\n'/ }" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $missing ||
    die "the packages could not be installed: apt-get needs a working Debian mirror (network?)"
  if [[ -n $service_guard && -d /run/systemd/system ]]; then
    say "note: openssh-server was installed and not started; 'systemctl disable ssh' keeps it so after a restart"
  fi
}

# --- libssh2 -------------------------------------------------------------------------------------------------------------
stamp=$deps/.jumpagent-libssh2
libssh2_is_ready() {
  if [[ -n ${JUMPAGENT_DEPS:-} ]]; then return 0; fi  # whether it is any good is CMake's question
  [[ -f $stamp && $(<"$stamp") == "$libssh2_version" && -f $deps/lib/libssh2.a && -f $deps/include/libssh2.h ]]
}

# URIs of Debian mirrors that this machine is set up to use, the surest first.
debian_mirrors() {
  if [[ -n ${JUMPAGENT_DEBIAN_MIRROR:-} ]]; then
    echo "$JUMPAGENT_DEBIAN_MIRROR"
    return
  fi
  local codename options=("$@")
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  for filter in "Codename: $codename" "Label: Debian"; do
    # shellcheck disable=SC2016  # apt-get's own variable
    apt-get "${options[@]}" indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "$filter"
  done 2>>"$log" | awk '!/^cdrom:/ && !seen[$0]++'
}

# apt-get with sources, lists and cache of its own: the system's stay as they are, and nobody needs to be root.
private_apt() {
  local options=(-q -o "Dir::Etc::sourcelist=$temporary/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$temporary/lists" -o "Dir::Cache=$temporary/cache" -o APT::Update::Error-Mode=any)
  if ((EUID == 0)); then options+=(-o APT::Sandbox::User=root); fi
  apt-get "${options[@]}" "$@"
}

# read_index KIND MIRROR SUITES: KIND is deb or deb-src.
read_index() {
  mkdir -p "$temporary/lists/partial" "$temporary/cache/archives/partial"
  printf "$1 [signed-by=$debian_keyring] $2 %s main\n" ${3//,/ } >"$temporary/sources.list"
  private_apt update
}

# index_somewhere LABEL KIND SUITES: the mirrors in turn, until one has them.
index_somewhere() {
  local mirrors mirror
  mirrors=$(debian_mirrors)
  [[ -n $mirrors ]] || mirrors=$(debian_mirrors_after_reading_lists)
  while read -r mirror; do
    if [[ -n $mirror ]] && step "looking for $1 at $mirror" read_index "$2" "$mirror" "$3"; then return; fi
  done <<<"$mirrors"
  return 1
}

# A machine whose package lists were thrown away does not know which of its sources is Debian: read them, for us only.
debian_mirrors_after_reading_lists() {
  mkdir -p "$temporary/system-lists/partial" "$temporary/cache/archives/partial"
  local options=(-o "Dir::State::lists=$temporary/system-lists" -o "Dir::Cache=$temporary/cache")
  if ((EUID == 0)); then options+=(-o APT::Sandbox::User=root); fi
  step "reading the package lists, to learn which source is Debian" apt-get -q "${options[@]}" update >&2 || true
  debian_mirrors "${options[@]}"
}

fetch_libssh2() {
  (cd "$temporary" && private_apt source libssh2) || return
  # A newer one under that name would have other internals than the ones that agent/transport/ relies on.
  [[ -f $temporary/libssh2-$libssh2_version/include/libssh2.h ]] ||
    { echo "the source package is not version $libssh2_version: $(cd "$temporary" && ls -d libssh2*)"; return 1; }
}

# It must not enter its build directory into ~/.cmake (CMAKE_EXPORT_NO_PACKAGE_REGISTRY).
compile_libssh2() {
  local source=$temporary/libssh2-$libssh2_version
  cmake -S "$source" -B "$temporary/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DBUILD_EXAMPLES=OFF -DBUILD_TESTING=OFF -DCRYPTO_BACKEND=OpenSSL -DENABLE_ZLIB_COMPRESSION=ON \
    -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON -DCMAKE_INSTALL_PREFIX="$temporary/prefix" -DCMAKE_INSTALL_LIBDIR=lib &&
    cmake --build "$temporary/build" && cmake --install "$temporary/build" &&
    echo "$libssh2_version" >"$temporary/prefix/${stamp##*/}"
}

# Only a complete prefix ever stands at BUILD_DIR/deps. The clients that are there besides stay.
put_libssh2_in_place() {
  local client
  for client in "$deps"/openssh-*; do
    if [[ -d $client ]]; then mv -- "$client" "$temporary/prefix/"; fi
  done
  if [[ -e $deps ]]; then mv -T -- "$deps" "$temporary/old"; fi
  mv -T -- "$temporary/prefix" "$deps"
}

needed_for_libssh2=(
  "needed: network access to a Debian mirror that has '$libssh2_suite' (JUMPAGENT_DEBIAN_MIRROR=URI names another one),"
  "or a static libssh2 $libssh2_version that you built, named by JUMPAGENT_DEPS=PREFIX"
)

provide_libssh2() {
  if libssh2_is_ready; then return; fi
  if has_apt && distribution_has_libssh2; then return; fi  # CMake finds the system's own
  if ! has_apt || [[ ! -f $debian_keyring ]]; then
    say "not Debian: trusting that a static libssh2 $libssh2_version is where CMake looks, or JUMPAGENT_DEPS names it"
    return
  fi
  temporary=$(mktemp -d "$build_dir/libssh2.XXXXXX")
  index_somewhere "libssh2 $libssh2_version" deb-src "$libssh2_suite" ||
    die "getting libssh2's source: no Debian mirror that has it" "${needed_for_libssh2[@]}"
  step "fetching libssh2 $libssh2_version (1 MB)" fetch_libssh2 || die "${needed_for_libssh2[@]}"
  step "building libssh2 $libssh2_version (about 20 s)" compile_libssh2 || exit 1
  put_libssh2_in_place
  rm -rf -- "$temporary"
  temporary=
}

# --- newer OpenSSH clients, for tests ----------------------------------------------------------------------------------
runs() { "$1" -V >/dev/null 2>&1; }

# installed_is_at_least MAJOR.MINOR
installed_is_at_least() {
  [[ $(ssh -V 2>&1) =~ OpenSSH_([0-9]+\.[0-9]+) ]] && printf '%s\n' "$1" "${BASH_REMATCH[1]}" | sort -VC
}

# unpack_client DIRECTORY PACKAGES…
unpack_client() {
  local package
  mkdir "$temporary/debs" && (cd "$temporary/debs" && private_apt download "${@:2}") || return
  for package in "$temporary"/debs/*.deb; do dpkg-deb -x "$package" "$1" || return; done
  rm -r "$temporary/debs"
}

# Programs that are newer than the machine's C library run with the one that was unpacked beside them.
wrap_client() {
  local program loader multiarch
  multiarch=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
  loader=$(cd "$1" && find usr/lib* -name 'ld-linux*.so.*' ! -type l | head -n 1)
  [[ -n $loader ]] || return
  for program in ssh scp sftp; do
    mv "$1/usr/bin/$program" "$1/usr/bin/$program.program"
    cat >"$1/usr/bin/$program" <<END
#!/bin/sh
top=\${0%/*}/../..
exec "\$top/$loader" --argv0 "\$0" --library-path "\$top/usr/lib/$multiarch:/lib/$multiarch:/usr/lib/$multiarch" \\
  "\$top/usr/bin/$program.program" "\$@"
END
    chmod 755 "$1/usr/bin/$program"
  done
}

# provide_client NAME VERSION SUITES LIBRARIES…: not having it is no failure, the tests with it are skipped then.
provide_client() {
  local name=$1 place=$build_dir/deps/$1 without="the tests with a newer OpenSSH are skipped"
  if installed_is_at_least "$2" || runs "$place/usr/bin/ssh"; then return; fi
  temporary=$(mktemp -d "$build_dir/openssh.XXXXXX")
  local new=$temporary/$name client="openssh-client/${3%%,*}"
  mkdir "$new"
  if ! index_somewhere "OpenSSH $2" deb "$3" || ! step "fetching OpenSSH $2 (1 MB)" unpack_client "$new" "$client"; then
    say "OpenSSH $2 cannot be had from a Debian mirror (see $log): $without"
  else
    if ! runs "$new/usr/bin/ssh" && (($# > 3)); then
      step "fetching what OpenSSH $2 needs of the system (5 MB)" unpack_client "$new" "${@:4}" && wrap_client "$new" || true
    fi
    if runs "$new/usr/bin/ssh"; then
      touch "$new/usr/bin/ssh"  # which tests there are is found out anew when it is newer than the tests
      rm -rf -- "$place"
      mkdir -p -- "${place%/*}" && mv -T -- "$new" "$place"
    else
      ldd "$new/usr/bin/ssh" >>"$log" 2>&1 || true
      say "OpenSSH $2 does not run here, as libraries are missing or too old (see $log): $without"
    fi
  fi
  rm -rf -- "$temporary"
  temporary=
}

provide_newer_clients() {
  local words
  has_apt && [[ -f $debian_keyring ]] || return 0
  for client in "${newer_clients[@]}"; do
    read -ra words <<<"$client"
    provide_client "${words[@]}"
  done
}

# --- jumpagent -----------------------------------------------------------------------------------------------------------
# LIBSSH2_* are looked for again, as the answer may have changed with what is in deps/.
configure() { cmake -S "$root" -B "$build_dir" -G Ninja -U 'LIBSSH2_*' -DJUMPAGENT_DEPS="$deps"; }
compile() { cmake --build "$build_dir" --target jumpagent jumpctl; }

build_programs() {
  step "configuring in $build_dir" configure || exit 1
  if [[ -t 1 ]]; then  # ninja's own status line is the best progress report that there is
    say "compiling jumpagent and jumpctl"
    compile || exit 1
  else
    step "compiling jumpagent and jumpctl" compile || exit 1
  fi
  say "ready: $build_dir/bin/jumpagent and $build_dir/bin/jumpctl"
}

mkdir -p -- "$build_dir"
exec 9>"$build_dir/.lock"  # two runs in one directory take turns
flock -n 9 || { say "another build is at work in $build_dir: waiting for it" && flock 9; }
: >"$log"

if has_apt; then
  install_packages
else
  say "no apt-get here: these must be there already: ${build_packages[*]}"
fi
provide_libssh2
if ((for_tests)); then provide_newer_clients; fi
if ((!deps_only)); then build_programs; fi
