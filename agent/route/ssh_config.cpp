#include "route/ssh_config.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <vector>

#include "base/log.h"
#include "base/shell_quoted.h"

namespace jump {
namespace {

constexpr Duration kResolveTimeout = seconds(10);  // a Match exec may be slow; a hanging one must not hang us

using Options = std::map<std::string, std::vector<std::string>, std::less<>>;

Options parse_lines(std::string_view dump) {
  Options options;
  while (!dump.empty()) {
    auto end = dump.find('\n');
    std::string_view line = dump.substr(0, end);
    dump.remove_prefix(end == std::string_view::npos ? dump.size() : end + 1);
    auto space = line.find(' ');
    if (space == std::string_view::npos) continue;
    options[std::string(line.substr(0, space))].emplace_back(line.substr(space + 1));
  }
  return options;
}

std::string one(const Options& options, std::string_view name) {
  auto found = options.find(name);
  return found == options.end() ? std::string() : found->second.front();
}

template <class Number>
Number number(const Options& options, std::string_view name, Number otherwise) {
  std::string text = one(options, name);
  Number value = otherwise;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failed == std::errc() && end == text.data() + text.size() ? value : otherwise;
}

// `ssh -G` prints lists of files unquoted: a piece that does not begin as a path goes on the one before it.
std::vector<std::string> split_files(std::string_view list) {
  std::vector<std::string> files;
  while (!list.empty()) {
    auto end = list.find(' ');
    std::string_view piece = list.substr(0, end);
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    if (piece.empty()) continue;
    bool begins = piece.front() == '/' || piece.front() == '~' || piece == "none" || files.empty();
    if (begins) {
      files.emplace_back(piece);
    } else {
      files.back() += " " + std::string(piece);
    }
  }
  return files;
}

// ssh_config(5), TOKENS and ENVIRONMENT VARIABLES, as far as file names use them.
std::string expand(std::string_view text, const HopSpec& spec, const LocalUser& user) {
  std::string out;
  if (text == "~" || text.starts_with("~/")) {
    out = user.home;
    text.remove_prefix(1);
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && text.substr(i).starts_with("${")) {
      auto end = text.find('}', i);
      if (end != std::string_view::npos) {
        const char* value = std::getenv(std::string(text.substr(i + 2, end - i - 2)).c_str());
        out += value ? value : "";
        i = end;
        continue;
      }
    }
    if (text[i] != '%' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (char token = text[++i]) {
      case '%':
        out += '%';
        break;
      case 'd':
        out += user.home;
        break;
      case 'h':
        out += spec.host;
        break;
      case 'i':
        out += std::to_string(getuid());
        break;
      case 'n':
        out += spec.alias;
        break;
      case 'p':
        out += std::to_string(spec.port);
        break;
      case 'r':
        out += spec.user;
        break;
      case 'u':
        out += user.name;
        break;
      case 'k':
        out += spec.known_hosts_name();
        break;
      default:
        out += {'%', token};
        break;
    }
  }
  return out;
}

std::vector<std::string> expand_all(const std::vector<std::string>& files, const HopSpec& spec,
                                    const LocalUser& user) {
  std::vector<std::string> out;
  for (const std::string& file : files) {
    if (file != "none") out.push_back(expand(file, spec, user));
  }
  return out;
}

std::string agent_socket(const Options& options, const HopSpec& spec, const LocalUser& user) {
  std::string value = one(options, "identityagent");
  if (value.empty() || value == "SSH_AUTH_SOCK") return user.agent_socket;
  if (value == "none") return {};
  if (value.front() == '$' && !value.starts_with("${")) {
    const char* found = std::getenv(value.c_str() + 1);
    return found ? found : "";
  }
  return expand(value, spec, user);
}

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  auto start = text.rfind('\n');
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

HopSpec defaults(const HostName& name, const LocalUser& user) {
  HopSpec spec;
  spec.alias = name.host;
  spec.host = name.host;
  spec.port = name.port.value_or(std::uint16_t{22});
  spec.user = name.user.empty() ? user.name : name.user;
  for (const char* key : {"id_rsa", "id_ecdsa", "id_ed25519"}) {
    spec.identity_files.push_back(user.home + "/.ssh/" + key);
  }
  spec.known_hosts_files = {user.home + "/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"};
  spec.identity_agent = user.agent_socket;
  return spec;
}

}  // namespace

LocalUser LocalUser::current() {
  LocalUser user;
  const char* home = std::getenv("HOME");
  if (const passwd* entry = getpwuid(getuid())) {
    user.name = entry->pw_name;
    user.home = entry->pw_dir;
  }
  if (home && *home) user.home = home;
  if (const char* socket = std::getenv("SSH_AUTH_SOCK")) user.agent_socket = socket;
  return user;
}

Result<HopSpec> parse_ssh_config_dump(std::string_view dump, std::string_view alias, const LocalUser& user) {
  Options options = parse_lines(dump);
  HopSpec spec;
  spec.alias = alias;
  spec.host = one(options, "hostname");
  if (spec.host.empty()) return Error{Errc::kProtocol, "`ssh -G` named no host for " + spec.alias, {}};
  if (spec.host.front() == '[' && spec.host.back() == ']')
    spec.host = spec.host.substr(1, spec.host.size() - 2);
  spec.port = number<std::uint16_t>(options, "port", 22);
  spec.user = one(options, "user");
  if (spec.user.empty()) spec.user = user.name;
  spec.host_key_alias = one(options, "hostkeyalias");
  spec.identities_only = one(options, "identitiesonly") == "yes";
  spec.identity_agent = agent_socket(options, spec, user);
  if (auto found = options.find("identityfile"); found != options.end()) {
    spec.identity_files = expand_all(found->second, spec, user);
  }
  for (const char* list : {"userknownhostsfile", "globalknownhostsfile"}) {
    for (std::string& file : expand_all(split_files(one(options, list)), spec, user)) {
      spec.known_hosts_files.push_back(std::move(file));
    }
  }
  if (std::string file = one(options, "revokedhostkeys"); !file.empty() && file != "none") {
    return Error{Errc::kUnsupported,
                 spec.alias + ": RevokedHostKeys is not supported yet, and ignoring it would be unsafe",
                 "mark the keys as @revoked in known_hosts instead"};
  }
  std::string methods = "," + one(options, "preferredauthentications") + ",";
  if (one(options, "pubkeyauthentication") == "false" ||
      (methods != ",," && methods.find(",publickey,") == std::string::npos)) {
    return Error{
        Errc::kUnsupported,
        spec.alias +
            ": your ssh_config rules out public keys for it, and jumpagent cannot log in otherwise yet",
        "allow them: PubkeyAuthentication, PreferredAuthentications"};
  }
  if (int limit = number<int>(options, "connecttimeout", 0); limit > 0) spec.connect_timeout = seconds(limit);
  spec.alive_interval = seconds(std::max(0, number<int>(options, "serveraliveinterval", 0)));
  spec.alive_count_max = std::max(1, number<int>(options, "serveralivecountmax", 3));

  for (auto [option, name] :
       {std::pair{"proxyjump", "ProxyJump"}, std::pair{"proxycommand", "ProxyCommand"}}) {
    std::string value = one(options, option);
    if (value.empty() || value == "none") continue;
    return Error{Errc::kUnsupported,
                 spec.alias + ": your ssh_config reaches it by " + name + " " + value +
                     ", which jumpagent does not support yet",
                 "name the bastion itself with --via, and the service as the bastion sees it"};
  }
  return spec;
}

// What the user would type to reach it with ssh.
std::string SshConfig::ssh_command(const HostName& name) const {
  std::string command = "ssh";
  if (!file_.empty()) command += " -F " + shell_quoted(file_);
  if (name.port) command += " -p " + std::to_string(*name.port);
  return command + " " + shell_quoted(name.user.empty() ? name.host : name.user + "@" + name.host);
}

std::unique_ptr<Operation> SshConfig::resolve(const std::string& text, Resolved done) {
  Result<HostName> name = HostName::parse(text);
  if (!name) {
    return io_.in_pool([] {}, [error = name.error(), done = std::move(done)] { done(error); });
  }
  Command command;
  command.argv = {"ssh", "-G"};
  std::string ssh = ssh_command(*name);
  if (!file_.empty()) command.argv.insert(command.argv.end(), {"-F", file_});
  if (name->port) command.argv.insert(command.argv.end(), {"-p", std::to_string(*name->port)});
  if (!name->user.empty()) command.argv.insert(command.argv.end(), {"-l", name->user});
  command.argv.insert(command.argv.end(), {"--", name->host});
  command.timeout = kResolveTimeout;
  return io_.run(command, [name = *name, text, ssh, user = user_,
                           done = std::move(done)](Result<CommandOutput> result) {
    if (!result && result.error().code == Errc::kNotFound) {
      log::warn("there is no `ssh` program: {} is reached with defaults, ssh_config is not read", text);
      HopSpec spec = defaults(name, user);
      spec.ssh_command = ssh;
      return done(std::move(spec));
    }
    if (!result) return done(result.error().context("ssh -G " + text));
    if (result->exit_status != 0) {
      std::string said = last_line(result->err);
      return done(Error{Errc::kInvalid,
                        "ssh does not accept '" + text + "': " + (said.empty() ? "no reason given" : said),
                        "try: " + ssh});
    }
    Result<HopSpec> spec = parse_ssh_config_dump(result->out, name.host, user);
    if (spec) spec->ssh_command = ssh;
    done(std::move(spec));
  });
}

}  // namespace jump
