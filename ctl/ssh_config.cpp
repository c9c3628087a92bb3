// jumpctl ssh-config: the lines of ssh_config that send hosts through the agent, on stdout or into the file.
// Which hosts: the arguments, or what the agent's config file has: hosts that it serves to ssh at their
// sockets
// (`mux`), and routes. What the way through a route goes through is excepted, or ssh and agent would run in a
// circle; at the sockets there is no such danger, as the agent itself does not look for them.
#include <fmt/core.h>
#include <fnmatch.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <set>

#include "base/shell_quoted.h"
#include "ctl/output.h"
#include "ctl/rewritten_file.h"
#include "ctl/ssh_config_block.h"
#include "ctl/verb.h"

namespace jump::ctl {
namespace {

// Resolving a host may take as long as its slowest 'Match exec'.
constexpr Duration kResolveTimeout = seconds(30);

struct Wanted {
  HostPatterns hosts;
  std::string via;
};

bool is_same_file(const std::string& one, const std::string& other) {
  struct stat a = {}, b = {};
  return ::stat(one.c_str(), &a) == 0 && ::stat(other.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

// What the name `jumpctl` runs in this shell; empty: nothing.
std::string found_in_path() {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    const std::string file = std::string(rest.substr(0, colon)) + "/jumpctl";
    if (file.front() == '/' && ::access(file.c_str(), X_OK) == 0) return file;
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return {};
}

// "jumpctl", or its path, and --socket: ready for a line of ssh_config, where % begins a token.
std::string own_program(const Options& options) {
  char self[PATH_MAX] = "";
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self - 1);
  const std::string file(self, length > 0 ? static_cast<std::size_t>(length) : 0);
  std::string command = file.empty() || is_same_file(file, found_in_path()) ? "jumpctl" : shell_quoted(file);
  if (!options.socket.empty()) {
    char directory[PATH_MAX] = "";
    const bool relative = options.socket.front() != '/' && ::getcwd(directory, sizeof directory) != nullptr;
    command += " --socket " +
               shell_quoted(relative ? std::string(directory) + "/" + options.socket : options.socket);
  }
  for (std::size_t at = 0; (at = command.find('%', at)) != std::string::npos; at += 2)
    command.insert(at, 1, '%');
  return command;
}

Result<std::vector<Wanted>> wanted_hosts(const Options& options, const proto::RouteListResult& routes) {
  std::vector<Wanted> wanted;
  if (options.mux) return wanted;
  if (!options.arguments.empty()) {
    if (Status good = check_host_patterns(options.arguments); !good.ok()) return good.error();
    const std::string via = options.via.empty() ? routes.default_via : options.via;
    if (via.empty())
      return Error{Errc::kInvalid, "which host leads to them?",
                   "--via HOST, or default_via in the agent's config file"};
    wanted.push_back({{options.arguments, {}}, via});
    return wanted;
  }
  for (const proto::RouteInfo& route : routes.routes) wanted.push_back({host_patterns(route.to), route.via});
  return wanted;
}

// Hosts that are to be found at the agent's sockets.
Result<std::vector<std::string>> wanted_at_sockets(const Options& options,
                                                   const proto::MuxListResult& served) {
  if (options.arguments.empty()) return served.hosts;
  if (!options.mux) return std::vector<std::string>();
  if (Status good = check_host_patterns(options.arguments); !good.ok()) return good.error();
  return options.arguments;
}

// Of hosts that are named and that the config file does not have served: the lines alone make no socket.
void hint_at_unserved(const Options& options, const std::vector<std::string>& hosts,
                      const proto::MuxListResult& served) {
  if (options.json) return;
  for (const std::string& host : hosts) {
    const bool is_name = host.find_first_of("*?!") == std::string::npos;
    const bool kept = std::any_of(served.hosts.begin(), served.hosts.end(), [&](const std::string& pattern) {
      return ::fnmatch(pattern.c_str(), host.c_str(), 0) == 0;
    });
    if (!is_name || kept) continue;
    write_err(
        fmt::format("jumpctl: {0} is served after 'jumpctl mux {0}', and from the agent's start on with "
                    "mux = [\"{0}\"] in its config file\n",
                    sanitized(host)));
  }
}

// Every host on the ways to `vias`, these included.
Result<std::vector<std::string>> hosts_on_the_way(Client& client, const std::vector<Wanted>& wanted,
                                                  Duration timeout) {
  std::set<std::string> vias;
  for (const Wanted& each : wanted) vias.insert(each.via);
  std::vector<std::string> hosts;
  for (const std::string& via : vias) {
    auto way = client.call(proto::method::kHostWay, {via}, timeout);
    if (!way.ok()) return way.error();
    for (const std::string& host : way->way) {
      if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(host);
    }
  }
  return hosts;
}

Result<std::string> make_block(const Options& options, Client& client, Duration timeout) {
  auto routes = client.call(proto::method::kRouteList, {}, timeout);
  if (!routes.ok()) return routes.error();
  const Result<std::vector<Wanted>> wanted = wanted_hosts(options, *routes);
  if (!wanted.ok()) return wanted.error();
  auto served = client.call(proto::method::kMuxList, {}, timeout);
  if (!served.ok()) return served.error();
  const Result<std::vector<std::string>> at_sockets = wanted_at_sockets(options, *served);
  if (!at_sockets.ok()) return at_sockets.error();
  if (wanted->empty() && at_sockets->empty()) {
    return Error{
        Errc::kNotFound, "no hosts are named, and the agent's config file has none of mux, and no routes",
        "jumpctl ssh-config --mux HOST..., or --via HOST PATTERN..., or mux = [...] in the config file"};
  }
  const Result<std::vector<std::string>> on_the_way = hosts_on_the_way(client, *wanted, timeout);
  if (!on_the_way.ok()) return on_the_way.error();
  for (const std::string& named : options.arguments) {
    if (std::find(on_the_way->begin(), on_the_way->end(), named) != on_the_way->end())
      return Error{Errc::kInvalid, named + " is on the way itself, and cannot be reached through it",
                   "name hosts that lie behind it"};
  }

  const std::string program = own_program(options);
  std::vector<HostSection> sections;
  std::vector<std::string> notes;
  if (options.arguments.empty()) notes.push_back("from the agent's config file");
  if (!at_sockets->empty()) {
    Result<std::vector<std::string>> lines = mux_options(served->directory);
    if (!lines.ok()) return lines.error();
    sections.push_back({*at_sockets, *std::move(lines)});
    hint_at_unserved(options, *at_sockets, *served);
  }
  for (const Wanted& each : *wanted) {
    for (const std::string& left_out : each.hosts.left_out) notes.push_back("left out: " + left_out);
    if (each.hosts.patterns.empty()) continue;
    HostSection section{each.hosts.patterns, proxy_options(program, each.via)};
    for (const std::string& host : *on_the_way) section.patterns.push_back("!" + host);
    sections.push_back(std::move(section));
  }
  return ssh_config_block(sections, notes);
}

// The file that the agent reads: what it says is what both `ssh` and the agent are to follow.
Result<std::string> file_of(Client& client, Duration timeout) {
  auto status = client.call(proto::method::kStatus, {}, timeout);
  if (!status.ok()) return status.error();
  if (!status->agent.ssh_config.empty()) return status->agent.ssh_config;
  const passwd* user = ::getpwuid(::geteuid());  // as ssh does: not $HOME
  if (user == nullptr || user->pw_dir == nullptr)
    return Error{Errc::kNotFound, "the user has no home directory", {}};
  return std::string(user->pw_dir) + "/.ssh/config";
}

constexpr int kMostRewrites = 50;
constexpr useconds_t kRewriteGap = 5'000;

int install(const Options& options, const std::string& file, const std::string& block) {
  const auto rewrite = [&] {
    return rewrite_file(file, [&block](std::string_view text) { return with_block(text, block); });
  };
  Result<bool> written = rewrite();
  // Somebody else who writes it, another of us above all, is done in a moment.
  for (int i = 0; i < kMostRewrites && !written.ok() && written.error().code == Errc::kInUse; ++i) {
    const int place = ::getpid() % 97 * (i + 1) % 13;  // not all at once again
    ::usleep(kRewriteGap * static_cast<useconds_t>(1 + place));
    written = rewrite();
  }
  if (!written.ok()) return fail(options, written.error(), kExitFailed);
  if (options.json) {
    write_out(proto::encode(proto::SshConfigResult{block, file, *written}).dump() + "\n");
  } else {
    write_out(fmt::format("{}: {}\n", sanitized(file), *written ? "written" : "as it was"));
  }
  return finish_output(options, kExitDone);
}

}  // namespace

int print_ssh_config(const Options& options) {
  if (options.mux && !options.via.empty()) {
    return fail(options,
                Error{Errc::kInvalid, "--mux and --via exclude each other", "see 'jumpctl help ssh-config'"},
                kExitUsage, proto::kInvalidParams);
  }
  if (!options.via.empty() && options.arguments.empty()) {
    return fail(options, Error{Errc::kInvalid, "--via is for hosts that are named", "add their PATTERNs"},
                kExitUsage, proto::kInvalidParams);
  }
  Result<Client> client = connect_client(options);
  if (!client.ok()) return fail_unconnected(options, client.error());
  const Duration timeout = options.timeout_or(kResolveTimeout);
  const Result<std::string> block = make_block(options, *client, timeout);
  if (!block.ok()) return fail(options, block.error(), kExitFailed);
  if (options.install) {
    const Result<std::string> file = file_of(*client, timeout);
    return file.ok() ? install(options, *file, *block) : fail(options, file.error(), kExitFailed);
  }
  write_out(options.json ? proto::encode(proto::SshConfigResult{*block, {}, {}}).dump() + "\n" : *block);
  return finish_output(options, kExitDone);
}

}  // namespace jump::ctl
