#include "route/spec_from_config.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "base/shell_quoted.h"
#include "route/config_tokens.h"
#include "route/own_proxy.h"

namespace jump {
namespace {

// Debian's ssh takes it for ServerAliveInterval where BatchMode is on: nobody has chosen it, and it is far
// longer than our own.
constexpr long kBatchModeInterval = 300;
// ConnectTimeout, ServerAliveInterval and such: what is longer is a mistake, and no sum of these may
// overflow.
constexpr long kMaxSeconds = 365L * 24 * 3600;
constexpr long kMaxCount = 1'000'000;

class Reader {
 public:
  Reader(std::string_view dump, std::string_view alias, const LocalUser& user, const ConfigDump& defaults)
      : dump_(dump), defaults_(defaults), user_(user) {
    spec_.alias = alias;
  }

  Result<HopSpec> read() {
    spec_.host = dump_.one("hostname");
    if (spec_.host.empty()) return Error{Errc::kProtocol, "`ssh -G` named no host for " + spec_.alias, {}};
    if (spec_.host.front() == '[' && spec_.host.back() == ']')
      spec_.host = spec_.host.substr(1, spec_.host.size() - 2);
    spec_.port = static_cast<std::uint16_t>(dump_.number("port", 22, 1, 65535));
    spec_.user = dump_.one("user");
    if (spec_.user.empty()) spec_.user = user_.name;
    spec_.host_key_alias = dump_.some("hostkeyalias");
    set_tokens();
    if (Status way = read_way(); !way) return way.error();
    read_algorithms();
    read_host_keys();
    read_login();
    read_wishes();
    note_ignored();
    return std::move(spec_);
  }

 private:
  void set_tokens();
  Status read_way();
  Status read_own_proxy();
  void read_algorithms();
  void read_host_keys();
  void read_login();
  void read_session();
  void read_wishes();
  void note_ignored();
  std::string how_to_open(const std::string& forward) const;

  std::string chosen(std::string_view name) const;
  std::vector<std::string> files(std::string_view option, const std::vector<std::string>& names);
  std::string agent_socket();
  void ignore(std::string line) { spec_.ignored.push_back(std::move(line)); }

  const ConfigDump dump_;
  const ConfigDump& defaults_;
  const LocalUser& user_;
  ConfigTokens tokens_;
  HopSpec spec_;
};

void Reader::set_tokens() {
  tokens_.home = user_.home;
  tokens_.homes = user_.homes;
  tokens_.local_user = user_.name;
  tokens_.uid = std::to_string(getuid());
  tokens_.host = spec_.host;
  tokens_.alias = spec_.alias;
  tokens_.key_alias = spec_.host_key_alias.empty() ? spec_.alias : spec_.host_key_alias;
  tokens_.port = std::to_string(spec_.port);
  tokens_.user = spec_.user;
  tokens_.jump = dump_.some("proxyjump");
  // The answer to kAskForTokens. A host's name has no slash.
  std::vector<std::string> asked = split_list(dump_.one("controlpath"), '/');
  if (asked.size() != 3) return;
  tokens_.local_host = asked[0];
  tokens_.local_short = asked[1];
  tokens_.hash = asked[2];
  spec_.connection_hash = asked[2];
}

// The value where the user chose it: ssh prints its defaults too.
std::string Reader::chosen(std::string_view name) const {
  std::string value = dump_.one(name);
  return defaults_.empty() || value == defaults_.one(name) ? std::string() : value;
}

// A DSCP name or number, as the TOS byte; nothing for "none".
std::optional<int> traffic_class(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, int>, 27> kNames{{
      {"af11", 0x28},        {"af12", 0x30},    {"af13", 0x38},     {"af21", 0x48}, {"af22", 0x50},
      {"af23", 0x58},        {"af31", 0x68},    {"af32", 0x70},     {"af33", 0x78}, {"af41", 0x88},
      {"af42", 0x90},        {"af43", 0x98},    {"cs0", 0x00},      {"cs1", 0x20},  {"cs2", 0x40},
      {"cs3", 0x60},         {"cs4", 0x80},     {"cs5", 0xa0},      {"cs6", 0xc0},  {"cs7", 0xe0},
      {"ef", 0xb8},          {"le", 0x04},      {"lowdelay", 0x10}, {"va", 0xb0},   {"throughput", 0x08},
      {"reliability", 0x04}, {"default", 0x00},
  }};
  for (const auto& [known, value] : kNames) {
    if (known == name) return value;
  }
  int value = 0;
  int base = name.starts_with("0x") ? 16 : 10;
  if (base == 16) name.remove_prefix(2);
  auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), value, base);
  bool whole = failed == std::errc() && end == name.data() + name.size();
  return whole && value >= 0 && value <= 255 ? std::optional(value) : std::nullopt;
}

// A ProxyCommand that asks us is the way that we would go: as if it were ProxyJump.
Status Reader::read_own_proxy() {
  const bool passes = !spec_.proxy_command.empty() && dump_.flag("proxyusefdpass", false);
  const std::optional<OwnProxy> own = own_proxy(spec_.proxy_command);
  const bool to_here = own && own->host == spec_.host && own->port == std::to_string(spec_.port);
  if (to_here && !own->via.empty()) {
    spec_.proxy_jump = own->via;
    spec_.proxy_command.clear();
    return {};
  }
  if (!passes) return {};
  if (own && own->via.empty()) {
    return Error{Errc::kUnsupported,
                 spec_.alias + ": its ProxyCommand asks this agent for the way, and does not say which",
                 "add --via HOST: " + spec_.proxy_command + " (jumpctl ssh-config prints such lines)"};
  }
  if (own) {
    return Error{Errc::kUnsupported,
                 spec_.alias + ": ProxyUseFdpass with a ProxyCommand that leads to " + own->host + ":" +
                     own->port + ", not to " + spec_.host + ":" + std::to_string(spec_.port),
                 "end it with %h %p"};
  }
  return Error{Errc::kUnsupported,
               spec_.alias + ": ProxyUseFdpass is not supported but with 'jumpctl proxy --fdpass --via HOST'",
               "use a ProxyCommand that carries the bytes itself"};
}

Status Reader::read_way() {
  spec_.proxy_jump = tokens_.command(dump_.some("proxyjump"));
  spec_.proxy_command = tokens_.command(dump_.some("proxycommand"));
  if (spec_.proxy_command == "-") {
    return Error{Errc::kUnsupported,
                 spec_.alias + ": ProxyCommand - means the terminal's own input, and there is none",
                 {}};
  }
  if (Status own = read_own_proxy(); !own) return own;
  std::string family = dump_.one("addressfamily");
  if (family == "inet") spec_.address_family = AddressFamily::kIpv4;
  if (family == "inet6") spec_.address_family = AddressFamily::kIpv6;
  spec_.bind_address = dump_.some("bindaddress");
  spec_.bind_interface = dump_.some("bindinterface");
  spec_.connection_attempts = static_cast<int>(dump_.number("connectionattempts", 1, 1, kMaxCount));
  spec_.tcp_keep_alive = dump_.flag("tcpkeepalive", true);
  // The first value is for connections with a terminal, and ours may have one at any time.
  if (auto values = split_list(chosen("ipqos"), ' '); !values.empty()) {
    spec_.traffic_class = traffic_class(values.front());
  }
  if (long limit = dump_.number("connecttimeout", 0, 1, kMaxSeconds)) spec_.connect_timeout = seconds(limit);
  const long interval = dump_.number("serveraliveinterval", 0, 0, kMaxSeconds);
  const bool by_batch_mode = interval == kBatchModeInterval && dump_.flag("batchmode", false);
  spec_.alive_interval = seconds(by_batch_mode ? 0 : interval);
  spec_.alive_count_max =
      static_cast<int>(std::max(1L, dump_.number("serveralivecountmax", 3, -kMaxCount, kMaxCount)));
  return {};
}

void Reader::read_algorithms() {
  spec_.ciphers = chosen("ciphers");
  spec_.kex_algorithms = chosen("kexalgorithms");
  spec_.host_key_algorithms = chosen("hostkeyalgorithms");
  spec_.macs = chosen("macs");
  spec_.pubkey_accepted_algorithms = chosen("pubkeyacceptedalgorithms");
}

// Names as they stand in the configuration. What cannot be expanded is left out, and said.
std::vector<std::string> Reader::files(std::string_view option, const std::vector<std::string>& names) {
  std::vector<std::string> expanded;
  for (const std::string& name : names) {
    if (name == "none") continue;
    Result<std::string> file = tokens_.file(name);
    if (file) {
      expanded.push_back(*std::move(file));
    } else {
      ignore(std::string(option) + " " + name + ": " + file.error().message);
    }
  }
  return expanded;
}

void Reader::read_host_keys() {
  // An ssh that prints its own default with a ~ expands nothing of this option; others have expanded all.
  bool as_written = defaults_.one("userknownhostsfile").starts_with("~");
  std::vector<std::string> user_files = split_files(dump_.one("userknownhostsfile"));
  for (std::string& file : user_files) {
    if (!as_written && !file.starts_with("~") && file != "none") spec_.known_hosts_files.push_back(file);
    if (as_written || file.starts_with("~")) {
      for (std::string& one : files("UserKnownHostsFile", {file}))
        spec_.known_hosts_files.push_back(std::move(one));
    }
  }
  spec_.user_known_hosts_files = spec_.known_hosts_files.size();
  for (std::string& file : split_files(dump_.one("globalknownhostsfile"))) {
    if (file != "none") spec_.known_hosts_files.push_back(std::move(file));  // ssh expands nothing here
  }
  std::string strict = dump_.one("stricthostkeychecking");
  if (strict == "true" || strict == "yes") spec_.strict_host_key_checking = StrictHostKeyChecking::kYes;
  if (strict == "accept-new") spec_.strict_host_key_checking = StrictHostKeyChecking::kAcceptNew;
  if (strict == "false" || strict == "no" || strict == "off")
    spec_.strict_host_key_checking = StrictHostKeyChecking::kNo;
  spec_.hash_known_hosts = dump_.flag("hashknownhosts", false);
  std::string update = dump_.one("updatehostkeys");
  spec_.update_host_keys = update == "ask"                      ? UpdateHostKeys::kAsk
                           : dump_.flag("updatehostkeys", true) ? UpdateHostKeys::kYes
                                                                : UpdateHostKeys::kNo;
  if (std::string revoked = dump_.some("revokedhostkeys"); !revoked.empty()) {
    // An unreadable list refuses every key, so a name that cannot be expanded is kept as it is.
    Result<std::string> file = tokens_.file(revoked);
    spec_.revoked_host_keys = file ? *std::move(file) : revoked;
  }
}

// IdentityAgent comes expanded; only the variables' names are left to us.
std::string Reader::agent_socket() {
  std::string value = dump_.one("identityagent");
  if (value.empty() || value == "SSH_AUTH_SOCK") return user_.agent_socket;
  if (value == "none") return {};
  if (value.front() == '$' && !value.starts_with("${")) {
    const char* found = std::getenv(value.c_str() + 1);
    if (!found) ignore("IdentityAgent " + value + ": the agent's environment has no " + value.substr(1));
    return found ? found : "";
  }
  if (value.front() != '~' && value.find("${") == std::string::npos) return value;
  std::vector<std::string> file = files("IdentityAgent", {value});
  return file.empty() ? std::string() : file.front();
}

void Reader::read_login() {
  spec_.identity_files = files("IdentityFile", dump_.all("identityfile"));
  spec_.certificate_files = files("CertificateFile", dump_.all("certificatefile"));
  spec_.identities_only = dump_.flag("identitiesonly", false);
  spec_.identity_agent = agent_socket();
  spec_.preferred_authentications = split_list(dump_.some("preferredauthentications"), ',');
  spec_.pubkey_authentication = dump_.flag("pubkeyauthentication", true);
  spec_.password_authentication = dump_.flag("passwordauthentication", true);
  spec_.kbd_interactive_authentication = dump_.flag("kbdinteractiveauthentication", true);
  spec_.number_of_password_prompts =
      static_cast<int>(dump_.number("numberofpasswordprompts", 3, 0, kMaxCount));
  spec_.batch_mode = dump_.flag("batchmode", false);
}

// As ssh_config says it: a character, "^" and a letter, "none".
std::string escape_char(std::string text) {
  if (text.size() > 1 && text.front() == '\\') text.erase(0, 1);  // ssh -G prints "\^B"
  if (text.empty()) return "~";
  if (text == "none") return {};
  if (text.size() == 2 && text[0] == '^') return std::string(1, static_cast<char>(text[1] & 31));
  return text.substr(0, 1);
}

void Reader::read_session() {
  const std::string agent = dump_.some("forwardagent");
  if (agent != "no" && agent != "false") spec_.forward_agent = agent == "true" ? "yes" : agent;
  // Which agent is the user's, of whose environment the client knows more.
  const std::string own = dump_.one("identityagent");
  const bool as_it_is = own == "none" || (own.starts_with('$') && !own.starts_with("${"));
  if (own != "SSH_AUTH_SOCK") spec_.forwarded_agent = as_it_is ? own : spec_.identity_agent;
  spec_.request_tty = dump_.one("requesttty");
  if (spec_.request_tty == "true") spec_.request_tty = "yes";
  if (spec_.request_tty == "false") spec_.request_tty = "no";
  spec_.remote_command = dump_.some("remotecommand");
  spec_.session_type = dump_.one("sessiontype");
  spec_.stdin_null = dump_.flag("stdinnull", false);
  spec_.fork_after_authentication = dump_.flag("forkafterauthentication", false);
  spec_.escape_char = escape_char(dump_.one("escapechar"));
}

void Reader::read_wishes() {
  read_session();
  spec_.send_env = dump_.all("sendenv");
  spec_.set_env = dump_.all("setenv");
  for (auto [option, letter] : {std::pair{"localforward", "-L "}, std::pair{"remoteforward", "-R "}}) {
    for (std::string forward : dump_.all(option)) {
      std::replace(forward.begin(), forward.end(), ' ', ':');
      if (std::string_view socks = ":[socks]:0"; forward.ends_with(socks))
        forward.resize(forward.size() - socks.size());
      spec_.offered_forwards.push_back(letter + forward);
    }
  }
  for (const std::string& listen : dump_.all("dynamicforward"))
    spec_.offered_forwards.push_back("-D " + listen);
}

// "-L 8080:[svc]:80": no forward is opened by itself, but this opens it.
std::string Reader::how_to_open(const std::string& forward) const {
  const bool local = forward.starts_with("-L "), remote = forward.starts_with("-R ");
  return std::string(local    ? "LocalForward"
                     : remote ? "RemoteForward"
                              : "DynamicForward") +
         ": not opened; open it with: jumpctl " +
         (local    ? "forward"
          : remote ? "reverse"
                   : "socks") +
         " --via " + shell_quoted(spec_.alias) + " " + shell_quoted(forward.substr(3));
}

void Reader::note_ignored() {
  struct Option {
    const char* name;  // as ssh -G prints it
    const char* line;
  };
  for (const Option& option : {
           Option{"compression", "Compression: not supported; what is sent is not compressed"},
           Option{"forwardx11", "ForwardX11: not supported"},
           Option{"tunnel", "Tunnel: not supported"},
           Option{"hostbasedauthentication", "HostbasedAuthentication: not supported"},
           Option{"checkhostip", "CheckHostIP: not supported; the key is checked for the host's name"},
           Option{"verifyhostkeydns", "VerifyHostKeyDNS: not supported; known_hosts decides"},
           Option{"nohostauthenticationforlocalhost",
                  "NoHostAuthenticationForLocalhost: not supported; host keys are always checked"},
       }) {
    if (dump_.flag(option.name, false)) ignore(option.line);
  }
  if (!dump_.some("knownhostscommand").empty())
    ignore("KnownHostsCommand: not supported; known_hosts files decide");
  if (!dump_.some("pkcs11provider").empty())
    ignore("PKCS11Provider: not supported; put the token's keys into ssh-agent (ssh-add -s)");
  if (!chosen("rekeylimit").empty())
    ignore("RekeyLimit: not supported; the server decides when keys are renewed");
  for (const std::string& forward : spec_.offered_forwards) ignore(how_to_open(forward));
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

std::set<std::string> users_of_files(const ConfigDump& dump) {
  std::set<std::string> users;
  for (const char* option :
       {"identityfile", "certificatefile", "identityagent", "userknownhostsfile", "revokedhostkeys"}) {
    for (const std::string& value : dump.all(option)) {
      for (const std::string& file : split_files(value)) {
        if (!file.starts_with('~') || file == "~") continue;
        if (std::string name = file.substr(1, file.find('/') - 1); !name.empty())
          users.insert(std::move(name));
      }
    }
  }
  return users;
}

std::map<std::string, std::string, std::less<>> homes_of(const std::set<std::string>& users) {
  std::map<std::string, std::string, std::less<>> homes;
  std::vector<char> buffer(64 * 1024);  // a passwd entry is far smaller
  for (const std::string& name : users) {
    passwd entry{};
    passwd* found = nullptr;
    if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 && found)
      homes[name] = found->pw_dir;
  }
  return homes;
}

Result<HopSpec> parse_ssh_config_dump(std::string_view dump, std::string_view alias, const LocalUser& user,
                                      const ConfigDump& defaults) {
  return Reader(dump, alias, user, defaults).read();
}

HopSpec default_spec(std::string_view host, const LocalUser& user) {
  HopSpec spec;
  spec.alias = spec.host = host;
  spec.user = user.name;
  for (const char* key : {"id_rsa", "id_ecdsa", "id_ed25519"}) {
    spec.identity_files.push_back(user.home + "/.ssh/" + key);
  }
  spec.known_hosts_files = {user.home + "/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"};
  spec.user_known_hosts_files = 1;
  spec.identity_agent = user.agent_socket;
  return spec;
}

}  // namespace jump
