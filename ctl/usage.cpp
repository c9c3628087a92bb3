#include "ctl/usage.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/nearest_name.h"

namespace jump::ctl {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

constexpr std::array<Verb, 6> kVerbs = {{
    {"connect", "HOST...", "log in to hosts, and wait until they are ready",
     "HOST is anything that 'ssh HOST' takes: an alias of ssh_config, or user@host:port.\n"
     "Several hosts are logged in to at the same time. --timeout defaults to 3 minutes.\n",
     1, kAny, false, connect_hosts},
    {"disconnect", "HOST...", "end the connections to hosts", "", 1, kAny, false, disconnect_hosts},
    {"forward", "[--via HOST] [--name NAME] [--prewarm N] SPEC...", "open port forwards, which stay until they are closed",
     "SPEC is as in 'ssh -L':\n"
     "  [bind:]port:host:port     8080:svc:80, '*:8080:svc:80', [::1]:8080:[fd00::5]:80\n"
     "  [bind:]port:/path         8080:/run/app.sock\n"
     "  /path:host:port           /tmp/svc.sock:svc:80\n"
     "  /path:/path\n"
     "Listening port 0 lets the system choose; the line that is printed says which.\n"
     "  --via HOST   the host that makes the connection to the target; may be left out when one is "
     "connected,\n"
     "               or where the agent's config file says which\n"
     "  --name NAME  a name of your own, for 'close' and 'list'; for one SPEC\n"
     "  --prewarm N  keep N connections to the target open in advance, at most 64: a new\n"
     "               connection then saves a round trip; the target sees N idle ones\n"
     "--timeout defaults to 3 minutes.\n",
     1, kAny, true, open_forwards},
    {"close", "ID|NAME|SPEC...", "close forwards", "", 1, kAny, false, close_forwards},
    {"list", "", "show the forwards", "", 0, 0, false, list_forwards},
    {"status", "", "show the agent, its hosts and its forwards", "", 0, 0, false, show_status},
}};

constexpr const char* kGlobalOptions =
    "options, before or after the verb:\n"
    "  --socket PATH      the agent's socket ($JUMPAGENT_SOCK, else "
    "$XDG_RUNTIME_DIR/jumpagent/control.sock,\n"
    "                     else ~/.local/state/jumpagent/control.sock)\n"
    "  --json             print what the agent answers, as one JSON document\n"
    "  --no-input         never ask for passwords and the like: what needs an answer fails\n"
    "  --timeout SECONDS  how long to wait for the agent (default: 10)\n"
    "  -h, --help         this help, or the verb's\n"
    "  --version          print the version\n";

constexpr const char* kExitCodes =
    "exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no agent is running\n";

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
