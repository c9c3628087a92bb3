#include "ctl/usage.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

namespace jump::ctl {
namespace {

constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();

constexpr std::array<Verb, 6> kVerbs = {{
    {"connect", "HOST...", "log in to hosts, and wait until they are ready",
     "HOST is anything that 'ssh HOST' takes: an alias of ssh_config, or user@host:port.\n"
     "Several hosts are logged in to at the same time. --timeout defaults to 60 seconds.\n",
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
     "connected\n"
     "  --name NAME  a name of your own, for 'close' and 'list'; for one SPEC\n"
     "  --prewarm N  keep N connections to the target open in advance, at most 64: a new\n"
     "               connection then saves a round trip; the target sees N idle ones\n"
     "--timeout defaults to 60 seconds.\n",
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
    "  --timeout SECONDS  how long to wait for the agent (default: 10)\n"
    "  -h, --help         this help, or the verb's\n"
    "  --version          print the version\n";

constexpr const char* kExitCodes =
    "exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no agent is running\n";

// Single-letter edits and swaps of neighbours between two words (Damerau's distance, optimal string
// alignment).
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + change});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

const Verb* find_verb(std::string_view name) {
  const auto* it =
      std::find_if(kVerbs.begin(), kVerbs.end(), [name](const Verb& verb) { return verb.name == name; });
  return it == kVerbs.end() ? nullptr : it;
}

std::string_view nearest_verb(std::string_view name) {
  constexpr std::size_t kNear = 2;      // edits
  constexpr std::size_t kLongest = 32;  // no verb is half as long
  if (name.empty() || name.size() > kLongest) return {};
  std::string_view best;
  std::size_t best_edits = kNear + 1;
  for (const Verb& verb : kVerbs) {
    const bool prefix = verb.name.starts_with(name);
    const std::size_t edits = prefix ? 1 : edits_between(name, verb.name);
    if (edits >= best_edits || edits >= std::max(name.size(), std::size_t{2})) continue;
    best = verb.name;
    best_edits = edits;
  }
  return best;
}

std::string usage() {
  return "usage: jumpctl [--socket PATH] [--json] [--timeout SECONDS] VERB ...\n"
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
