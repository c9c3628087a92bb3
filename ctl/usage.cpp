#include "ctl/usage.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/nearest_name.h"
#include "ctl/command_line.h"

namespace jump::ctl {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

constexpr const char* kSpecHelp =
    "SPEC is as in 'ssh -L':\n"
    "  [bind:]port:host:port     8080:svc:80, '*:8080:svc:80', [::1]:8080:[fd00::5]:80\n"
    "  [bind:]port:/path         8080:/run/app.sock\n"
    "  /path:host:port           /tmp/svc.sock:svc:80\n"
    "  /path:/path\n"
    "Listening port 0 lets the system choose; the line that is printed says which. Ports may be ranges, as\n"
    "in 8000-8010:svc:9000-9010, which is eleven forwards.\n"
    "  --via HOST   the host that makes the connection to the target; may be left out when one is "
    "connected,\n"
    "               or where the agent's config file says which\n"
    "  --name NAME  a name of your own, for 'close' and 'list'; for one SPEC\n"
    "  --persist    open again after a restart of the agent\n"
    "  --hold       stay, and close them when this command ends (Ctrl-C)\n"
    "  --prewarm N  keep N connections to the target open in advance, at most 64: a new\n"
    "               connection then saves a round trip; the target sees N idle ones\n"
    "--timeout defaults to 3 minutes.\n";

constexpr const char* kReverseHelp =
    "SPEC is as in 'ssh -R': the server listens, and this machine makes the connection to the target:\n"
    "  [bind:]port:host:port     9000:localhost:3000\n"
    "  [bind:]port:/path         9000:/run/app.sock\n"
    "  /path:host:port, /path:/path\n"
    "  [bind:]port               a SOCKS and HTTP proxy on the server, which leads out of this machine\n"
    "The server listens on its loopback unless bind says otherwise, and its GatewayPorts allows that.\n"
    "Port 0 lets the server choose; ports may be ranges.\n"
    "  --via HOST   the host that listens; may be left out when one is connected\n"
    "  --name, --persist, --hold, --timeout: as for forward\n";

constexpr const char* kSocksHelp =
    "SPEC is as in 'ssh -D': [bind:]port, or the /path of a Unix socket. SOCKS4, 4a, 5 and HTTP CONNECT are\n"
    "told apart on that one port; names are resolved by the host.\n"
    "  --via HOST   the host that makes the connections; may be left out when one is connected\n"
    "  --name, --persist, --hold, --timeout: as for forward\n";

constexpr auto kVerbs = std::to_array<Verb>({
    {"connect", "HOST...", "log in to hosts, and wait until they are ready",
     "HOST is anything that 'ssh HOST' takes: an alias of ssh_config, or user@host:port.\n"
     "Several hosts are logged in to at the same time. --timeout defaults to 3 minutes.\n",
     1, kAny, 0, connect_hosts, Takes::kHosts},
    {"disconnect", "HOST...", "end the connections to hosts", "", 1, kAny, 0, disconnect_hosts,
     Takes::kConnectedHosts},
    {"forward", "[--via HOST] [--name NAME] [--persist | --hold] [--prewarm N] SPEC...",
     "open port forwards (ssh -L), which stay until they are closed", kSpecHelp, 1, kAny,
     kVia | kName | kPersist | kHold | kPrewarm, open_forwards},
    {"reverse", "[--via HOST] [--name NAME] [--persist | --hold] SPEC...",
     "let the server listen, and lead from there to here (ssh -R)", kReverseHelp, 1, kAny,
     kVia | kName | kPersist | kHold, open_reverse},
    {"socks", "[--via HOST] [--name NAME] [--persist | --hold] [BIND:]PORT...",
     "open proxies, SOCKS and HTTP on one port (ssh -D)", kSocksHelp, 1, kAny,
     kVia | kName | kPersist | kHold, open_socks},
    {"close", "ID|NAME|SPEC... | --all", "close forwards",
     "A SPEC closes the forward that was opened with it, whatever its kind; a range closes those of its "
     "ports.\n"
     "  --all        every forward that 'list' shows\n",
     1, kAny, kAll, close_forwards, Takes::kForwards},
    {"list", "", "show the forwards",
     "RATE is what has moved per second lately, IN is what came from the far side. On a terminal that is "
     "too\n"
     "narrow the less telling columns are left out. With --json it is all there.\n",
     0, 0, 0, list_forwards},
    {"status", "", "show the agent, its hosts, forwards and sessions", "", 0, 0, 0, show_status},
    {"watch", "", "show the hosts, forwards and sessions, then each change as it comes",
     "A line for each host, forward, session and open question, and then one for each that changes, until "
     "Ctrl-C. With\n"
     "--json the first line is the snapshot, and each further one a notification as the agent sent it. The "
     "exit\n"
     "status is 0 after Ctrl-C, and 1 when the agent has ended.\n",
     0, 0, 0, watch_events},
    {"doctor", "[HOST]", "say what is wrong on the way to a host, and what to do about it",
     "Logs in to HOST and to every jump host before it, by connections of its own, and tells for each what\n"
     "ssh_config comes to, the name's addresses, the connection, the key exchange, the host key, each key "
     "and\n"
     "method that was tried, and whether the server lets connections through. Without HOST it looks at the\n"
     "agent itself. The exit status is 0 when nothing failed, else 1. --timeout defaults to 3 minutes.\n",
     0, 1, 0, run_doctor, Takes::kHosts},
    {"exec", "[-tTAan] [-s] HOST [--] COMMAND...", "run a command on a host, as 'ssh HOST COMMAND' does",
     "The words of COMMAND are joined by spaces for the remote user's shell. stdin, stdout and stderr are "
     "this\n"
     "program's own; its exit status is the remote one's, or 255 when SSH failed or a signal ended the "
     "command.\n"
     "  -t, -T      ask for a terminal (-tt: even when stdin is none), or for none\n"
     "  -A, -a      let the host use this shell's ssh-agent, or not; else as ForwardAgent says\n"
     "  -n          no input, as with < /dev/null\n"
     "  -s          COMMAND is the name of a subsystem: exec -s HOST sftp\n"
     "Without a terminal Ctrl-C is sent on as a signal, the second one ends this program. SendEnv and SetEnv "
     "of\n"
     "ssh_config hold. --timeout is for the login and the start, and defaults to 3 minutes.\n",
     2, kAny, kSession | kSubsystem | kCommandFollows, run_command, Takes::kHostFirst},
    {"shell", "[-tTAa] HOST", "a shell on a host, as 'ssh HOST' gives it",
     "Options and exit status are those of exec. RemoteCommand of ssh_config is run instead, where it is "
     "set.\n",
     1, 1, kSession, run_shell, Takes::kHosts},
    {"proxy", "[--via HOST] [--fdpass] HOST PORT",
     "a connection to HOST:PORT on stdin and stdout, for ProxyCommand",
     "For ssh_config:\n"
     "  ProxyCommand jumpctl proxy --fdpass %h %p\n"
     "  ProxyUseFdpass yes\n"
     "  --via HOST  the host that makes the connection; else the routes of the agent's config file say so, "
     "then\n"
     "              ProxyJump of HOST in ssh_config, then the only connected host\n"
     "  --fdpass    hand the connection to ssh and end; no process stays in between\n"
     "Exit status: 0 when the connection has ended in good order, 255 when there was none or it broke.\n",
     2, 2, kVia | kFdpass, open_proxy, Takes::kHostFirst},
    {"ssh-config", "[--mux | --via HOST] [--install] [PATTERN...]",
     "print the lines for ~/.ssh/config that send hosts through the agent",
     "PATTERNs are names as in a Host line (*.prod.example). Without any, the agent's config file says which "
     "hosts\n"
     "they are: those of 'mux', and those of the routes; then run it again when these change.\n"
     "  --mux       hosts whose own connection the agent shares: ssh, scp, rsync and git use that one by "
     "ControlPath,\n"
     "              without a login of their own, and connect by themselves while the agent does not serve "
     "the host\n"
     "  --via HOST  hosts behind HOST, which leads there; else default_via of the agent's config file. They "
     "are\n"
     "              reached over the agent's connection (ProxyCommand), and logged in to as always\n"
     "  --install   write them into ~/.ssh/config (or the file of jumpagent's -F), at its top, between two "
     "marks;\n"
     "              what stood between these goes, all else stays\n",
     0, kAny, kVia | kInstall, print_ssh_config},
    {"mux", "HOST [--path PATH]", "print a socket that is HOST's ControlPath for ssh, scp, git, rsync ...",
     "What finds it there uses the agent's connection: ssh -o ControlPath=\"$(jumpctl mux prod)\" prod\n"
     "Its last part is the host's name, %n of ssh_config; %r@%n:%p is there, too, and tells users and ports "
     "apart.\n"
     "Hosts of 'mux' in the agent's config file are served without being asked for. -O check, forward, "
     "cancel,\n"
     "exit, stop and proxy do what they do with a ControlMaster.\n"
     "What is made so lasts until the agent ends.\n"
     "  --path PATH  serve it there as well, for tools that choose a ControlPath themselves; nobody else "
     "may\n"
     "               be able to write to its directory, or to one above it, unless that is sticky\n",
     1, 1, kPath, serve_to_ssh, Takes::kHosts},
    {"completion", "bash|zsh|fish", "print what makes a shell complete jumpctl's command lines",
     "For this shell:            eval \"$(jumpctl completion bash)\"        (in fish: | source)\n"
     "It completes verbs, options, hosts of ssh_config, and forwards by id and name.\n",
     1, 1, 0, print_completion, Takes::kShells},
});

constexpr const char* kGlobalOptions =
    "options, before or after the verb:\n"
    "  --socket PATH      the agent's socket ($JUMPAGENT_SOCK, else "
    "$XDG_RUNTIME_DIR/jumpagent/control.sock,\n"
    "                     else ~/.local/state/jumpagent/control.sock)\n"
    "  --json             print what the agent answers, as one JSON document\n"
    "  --no-input         never ask for passwords and the like: what needs an answer fails\n"
    "  --timeout SECONDS  how long to wait for the agent (default: 10, or 180 where that may log in)\n"
    "  -h, --help         this help, or the verb's\n"
    "  --version          print the version\n";

constexpr const char* kExitCodes =
    "exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no agent is running; exec and shell: the "
    "remote\n"
    "command's, or 255 when SSH failed\n";

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

const Verb* find_verb(std::string_view name) {
  const auto* it =
      std::find_if(kVerbs.begin(), kVerbs.end(), [name](const Verb& verb) { return verb.name == name; });
  return it == kVerbs.end() ? nullptr : it;
}

std::string_view nearest_verb(std::string_view name) {
  std::array<std::string_view, kVerbs.size()> names;
  std::transform(kVerbs.begin(), kVerbs.end(), names.begin(), [](const Verb& verb) { return verb.name; });
  return nearest_name(name, names);
}

std::string usage() {
  return "usage: jumpctl [--socket PATH] [--json] [--no-input] [--timeout SECONDS] VERB ...\n"
         "try 'jumpctl help'\n";
}

std::string help() {
  std::string out = "jumpctl: controls jumpagent, which keeps SSH connections and forwards\n\n";
  out += "usage: jumpctl [OPTIONS] VERB ...\n\nverbs:\n";
  for (const Verb& verb : kVerbs) {
    const std::string space = verb.arguments.empty() ? "" : " ";
    out += fmt::format("  {}{}{}\n      {}\n", verb.name, space, verb.arguments, verb.summary);
  }
  out += "  help [VERB]\n      explain a verb\n\n";
  return out + kGlobalOptions + "\n" + kExitCodes;
}

std::string help(const Verb& verb) {
  const std::string space = verb.arguments.empty() ? "" : " ";
  std::string out =
      fmt::format("usage: jumpctl {}{}{}\n\n{}\n", verb.name, space, verb.arguments, verb.summary);
  if (!verb.help.empty()) out += fmt::format("\n{}", verb.help);
  return out + "\n" + kGlobalOptions;
}

}  // namespace jump::ctl
