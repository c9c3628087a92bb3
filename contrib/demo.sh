#!/usr/bin/env bash
# Shows jumpagent at work: a page of a private web service, through a bastion that gives nobody a shell.
#
#   contrib/demo.sh [BUILD_DIR]
#
# In:  a fresh clone; contrib/build.sh brings what is missing and builds into BUILD_DIR (build/ unless given).
# Out: exit status 0 only if the page that came through the forward is the service's page, byte for byte.
# Invariant: all of it lives in one temporary directory and on loopback addresses of its own, needs no root, and is gone
# at the end, however the end comes about. A real agent, ~/.ssh and the machine's sshd are neither used nor touched.
#
# The name "svc" means something on the bastion only: nss_wrapper gives sshd, and nothing else, a hosts file with it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_dir=$(realpath -m "${1:-$root/build}")
"$root/contrib/build.sh" --for-demo "$build_dir"
PATH=$build_dir/bin:$PATH

say() { printf '\n==> %s\n' "$*"; }
fail() {
  printf '\ndemo.sh: %s\n' "$*" >&2
  exit 1
}
# Shows a command as a user would type it, and runs it. No step may take longer than this.
step_limit=60
run() {
  printf '\n$ %s\n' "$*"
  timeout --foreground "$step_limit" "$@"
}

# --- the end, prepared first ---------------------------------------------------------------------------------------------
scratch=
agent_was_started=0

# Whatever was started for this demo carries the scratch directory's name in its command line; sshd's children rename
# themselves and are found through their parents.
our_processes() { grep -lsF -- "$scratch" /proc/[0-9]*/cmdline | sed 's|/proc/\([0-9]*\)/.*|\1|'; }
children() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }
alive() { for pid in "$@"; do [[ ! -e /proc/$pid ]] || echo "$pid"; done; }
# stop PID…: politely, then not.
stop() {
  local victims=("$@")
  for signal in TERM KILL; do
    kill -s "$signal" "${victims[@]}" 2>/dev/null || true
    for _ in {1..40}; do
      mapfile -t victims < <(alive "${victims[@]}")
      ((${#victims[@]})) || return 0
      sleep 0.05
    done
  done
}
# Children first, so that their parents can still bury them.
stop_processes() {
  local pids
  for depth in 2 1 0; do
    pids=$(our_processes)
    for ((; depth > 0; --depth)); do pids=$(for pid in $pids; do children "$pid"; done); done
    # shellcheck disable=SC2086  # one word per process
    [[ -z $pids ]] || stop $pids
  done
}
show_logs() {
  find "$scratch" -name '*.log' -size +0 2>/dev/null | while read -r file; do
    printf '\n--- the end of %s\n' "${file#"$scratch"/}"
    tail -n 20 "$file"
  done
}
clean_up() {
  local status=$?
  set +e  # nothing may keep the rest from being cleaned up
  trap '' INT TERM HUP PIPE
  if [[ -n $scratch ]]; then
    if ((status != 0 && status < 128)); then
      show_logs >&2
      printf '\ndemo failed (exit status %d)\n' "$status" >&2
    fi
    ((!agent_was_started)) || timeout 10 jumpagent down >/dev/null 2>&1 || true
    stop_processes
    rm -rf -- "$scratch"
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap 'exit 141' PIPE

# --- the stage -------------------------------------------------------------------------------------------------------------
temporary_root=${TMPDIR:-/tmp}
((${#temporary_root} < 50)) || temporary_root=/tmp  # the path of a Unix socket has to fit into 107 bytes
scratch=$(mktemp -d "$temporary_root/jumpagent-demo.XXXXXX")
chmod 711 "$scratch"
mkdir -m 755 "$scratch/bastion"
mkdir -m 700 "$scratch/laptop" "$scratch/laptop/run"

export JUMPAGENT_SOCK=$scratch/laptop/run/control.sock XDG_RUNTIME_DIR=$scratch/laptop/run
export XDG_STATE_HOME=$scratch/laptop/state XDG_CONFIG_HOME=$scratch/laptop/config
export no_proxy='*'
unset SSH_AUTH_SOCK

# 127.0.0.0/8 is the loopback interface on Linux, every address of it: a random one is one's own.
loopback_address() { echo "127.$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1)).$((RANDOM % 254 + 1))"; }
free_port() {
  perl -MIO::Socket::INET -e '
    my $socket = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => 0, Listen => 1) or die "no free port: $!\n";
    print $socket->sockport, "\n"' "$1"
}
# wait_until DESCRIPTION PID COMMAND…: until COMMAND succeeds, as long as process PID lives.
wait_until() {
  local description=$1 pid=$2
  shift 2
  for _ in {1..200}; do
    if "$@" 2>/dev/null; then return; fi
    [[ -e /proc/$pid/exe ]] || fail "$description: it ended at once"
    sleep 0.05
  done
  fail "$description: not ready after 10 s"
}

# A web server in a dozen lines: perl is part of every Debian. It listens on the first port that it may have.
# shellcheck disable=SC2016  # perl's variables
web_server='
  my ($address, $page, $port_file, @ports) = @ARGV;
  $SIG{PIPE} = "IGNORE";
  my $listener;
  for (@ports) {
    last if $listener = IO::Socket::INET->new(LocalAddr => $address, LocalPort => $_, Listen => 16, ReuseAddr => 1);
  }
  $listener or die "cannot listen on $address: $!\n";
  open(my $file, "<", $page) or die "$page: $!\n";
  my $body = do { local $/; <$file> };
  open(my $out, ">", "$port_file.new") or die; print $out $listener->sockport; close $out;
  rename("$port_file.new", $port_file);
  while (my $client = $listener->accept) {
    while (<$client>) { last if /^\r?$/ }
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: ", length $body, "\r\n\r\n", $body;
    close $client;
  }'

say "a private web service"
service_address=$(loopback_address)
page=$scratch/bastion/page.html
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '<!doctype html>\n<title>svc</title>\n<p>Hello from the private network. Today'\''s secret is %s.</p>\n' "$token" >"$page"
perl -MIO::Socket::INET -e "$web_server" "$service_address" "$page" "$scratch/bastion/port" 80 8080 0 \
  2>"$scratch/bastion/web-server.log" &
wait_until "the web service" $! test -s "$scratch/bastion/port"
service="svc:$(<"$scratch/bastion/port")"
echo "    at $service_address, which the bastion knows as $service"

say "a bastion: sshd that takes keys only, gives no shell, and forwards to $service and nowhere else"
bastion_address=$(loopback_address)
bastion_port=$(free_port "$bastion_address")
bastion_user=$(id -un)
# Run by root, the account is one that can do nothing, if sshd takes it: its shell, though never started, has to exist.
if ((EUID == 0)) && [[ -x $(getent passwd nobody | cut -d: -f7) ]]; then bastion_user=nobody; fi
ssh-keygen -q -t ed25519 -N '' -C demo -f "$scratch/bastion/host_key"
ssh-keygen -q -t ed25519 -N '' -C demo -f "$scratch/laptop/id_ed25519"
install -m 644 "$scratch/laptop/id_ed25519.pub" "$scratch/bastion/authorized_keys"
echo "$service_address svc" >"$scratch/bastion/hosts"
chmod 644 "$scratch/bastion/hosts"
cat >"$scratch/bastion/sshd_config" <<END
ListenAddress $bastion_address:$bastion_port
HostKey $scratch/bastion/host_key
AuthorizedKeysFile $scratch/bastion/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
AllowUsers $bastion_user
AuthenticationMethods publickey
PermitTTY no
ForceCommand /usr/sbin/nologin
X11Forwarding no
AllowAgentForwarding no
AllowStreamLocalForwarding no
PermitTunnel no
AllowTcpForwarding local
PermitOpen $service
END
sed -n '/^Allow.*Forw/p; /^Perm/p; /^Force/p' "$scratch/bastion/sshd_config" | sed 's/^/    /'
# sshd wants this directory; where its service never ran, nobody has made it yet.
if ((EUID == 0)); then install -d -m 755 /run/sshd; fi
LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS=$scratch/bastion/hosts \
  /usr/sbin/sshd -D -e -f "$scratch/bastion/sshd_config" 2>"$scratch/bastion/sshd.log" &
bastion_answers() { grep -qs '^Server listening' "$scratch/bastion/sshd.log"; }
wait_until "the bastion's sshd" $! bastion_answers

read -r host_key_type host_key _ <"$scratch/bastion/host_key.pub"
echo "[$bastion_address]:$bastion_port $host_key_type $host_key" >"$scratch/laptop/known_hosts"
cat >"$scratch/laptop/ssh_config" <<END
Host bastion
  HostName $bastion_address
  Port $bastion_port
  User $bastion_user
  IdentityFile $scratch/laptop/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $scratch/laptop/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
END

# --- the play --------------------------------------------------------------------------------------------------------------
say "this machine does not know the service"
run curl -sS --max-time 5 "http://$service/" && fail "the name svc means something on this machine: nothing is shown by that"

say "jumpagent logs in to the bastion and carries a local port to the service"
agent_was_started=1
run jumpagent up -F "$scratch/laptop/ssh_config"
local_port=$(free_port 127.0.0.1)
run jumpctl forward --via bastion "$local_port:$service"
run curl -sS --fail --max-time 30 -o "$scratch/laptop/page.html" "http://127.0.0.1:$local_port/"
cat "$scratch/laptop/page.html"
cmp "$page" "$scratch/laptop/page.html" || fail "the page that came through is not the service's page"

run jumpctl status
run jumpagent down
agent_was_started=0

say "demo passed: the page came through the bastion unchanged ($(stat -c %s "$page") bytes)"
