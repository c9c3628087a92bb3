#include "doctor/advice.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/shell_quoted.h"

namespace jump {
namespace {

bool says(const Error& error, std::string_view text) { return error.message.find(text) != std::string::npos; }

// What stands between the quotes behind `before`.
std::string quoted_behind(const std::string& text, std::string_view before) {
  const std::size_t start = text.find(std::string(before) + "\"");
  if (start == std::string::npos) return {};
  const std::size_t from = start + before.size() + 1;
  return text.substr(from, text.find('"', from) - from);
}

// Not offered by us, and yet there for those who ask for it. By the words of kexinit.cpp.
struct OldAlgorithms {
  std::string_view kind, option;
  std::array<std::string_view, 4> names;
};
constexpr OldAlgorithms kOld[] = {
    {"key exchange method",
     "KexAlgorithms",
     {"diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1", "diffie-hellman-group1-sha1", ""}},
    {"host key algorithm", "HostKeyAlgorithms", {"ssh-rsa", "", "", ""}},
    {"cipher", "Ciphers", {"aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"}},
    {"MAC", "MACs", {"hmac-sha1", "hmac-md5", "", ""}},
};

// What the user's ssh_config says; empty: nothing.
const std::string& chosen_algorithms(const HopSpec& spec, std::string_view option) {
  if (option == "KexAlgorithms") return spec.kex_algorithms;
  if (option == "HostKeyAlgorithms") return spec.host_key_algorithms;
  return option == "Ciphers" ? spec.ciphers : spec.macs;
}

bool has_name(const std::string& list, std::string_view name) {
  return ("," + list + ",").find("," + std::string(name) + ",") != std::string::npos;
}

// ssh-copy-id takes ssh's options, but for -J.
std::string copy_id_command(const LoginReport& login, const HopSpec& spec) {
  std::string target =
      spec.ssh_command.starts_with("ssh ") ? spec.ssh_command.substr(4) : shell_quoted(spec.alias);
  if (const std::size_t jump = target.find("-J "); jump != std::string::npos)
    target.replace(jump, 3, "-o ProxyJump=");
  std::string key;
  for (const LoginTry& each : login.tries) {
    if (key.empty() && !each.key_file.empty()) key = "-i " + shell_quoted(each.key_file + ".pub") + " ";
  }
  return "ssh-copy-id " + key + target;
}

// The options that choose our end of the connection, where they are why there is none:
// "BindAddress 10.0.0.9".
std::string source_options(const Error& error, const HopSpec& spec) {
  const bool blames = says(error, "BindAddress") || says(error, "BindInterface") ||
                      says(error, "AddressFamily") || says(error, "address not available") ||
                      says(error, "assign requested address");
  if (!blames) return {};
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : " and ") + text; };
  if (!spec.bind_address.empty()) add("BindAddress " + spec.bind_address);
  if (!spec.bind_interface.empty()) add("BindInterface " + spec.bind_interface);
  if (spec.address_family == AddressFamily::kIpv4) add("AddressFamily inet");
  if (spec.address_family == AddressFamily::kIpv6) add("AddressFamily inet6");
  return out;
}

bool accepts(const LoginReport& login, std::string_view method) {
  return std::find(login.methods.begin(), login.methods.end(), method) != login.methods.end();
}

}  // namespace

std::string known_hosts_advice(const std::string& file) {
  return fmt::format(
      "make it a file that you may write, in a directory that is there (ls -ld {}), or name another with "
      "UserKnownHostsFile in ssh_config",
      shell_quoted(file));
}

std::string name_advice(const HopSpec& spec) {
  return fmt::format(
      "check the spelling and HostName in ssh_config; a name that only another network knows needs its VPN, "
      "or "
      "a ProxyJump (try: getent hosts {})",
      shell_quoted(spec.host));
}

std::string connect_advice(const Error& error, const HopSpec& spec, const std::string& carrier) {
  const bool here = carrier.empty();
  if (here) {
    if (const std::string options = source_options(error, spec); !options.empty()) {
      return fmt::format(
          "ssh_config has {} for {}: name an address that this machine has now and that fits the server's "
          "(ip "
          "address shows them), or take the line out",
          options, spec.alias);
    }
  }
  const std::string from = here ? "here" : carrier;
  if (says(error, "cannot resolve") || says(error, "not known") || says(error, "resolution") ||
      says(error, "No address associated")) {
    if (here) return name_advice(spec);
    return fmt::format("{} looks the name {} up: use a name that it knows, or the address, as HostName",
                       carrier, spec.host);
  }
  if (error.code == Errc::kTimeout) {
    return fmt::format(
        "nothing answers at {} port {} from {}: is the address right, the machine up, a VPN needed? A "
        "firewall "
        "may drop it; it may be reachable through a jump host only (ProxyJump)",
        spec.host, spec.port, from);
  }
  if (says(error, "refused")) {
    return fmt::format(
        "nothing listens on port {} of {} as seen from {}: check Port and HostName in ssh_config, "
        "and that sshd runs there",
        spec.port, spec.host, from);
  }
  if (says(error, "unreachable") || says(error, "No route")) {
    return fmt::format(
        "there is no network route from {} to {}: connect the VPN or the network, or use a jump "
        "host (ProxyJump)",
        from, spec.host);
  }
  if (!here) return fmt::format("try it there: on {}, nc -v {} {}", carrier, spec.host, spec.port);
  return error.hint;
}

std::string proxy_command_advice(const Error& error) {
  if (says(error, "not found") || says(error, "status 127"))
    return "the program does not exist for jumpagent: check the name, and the PATH that jumpagent was "
           "started with";
  if (says(error, "status 126")) return "the program may not be executed: chmod +x, or correct the path";
  if (error.code == Errc::kTimeout)
    return "the command runs, and no SSH server answers through it: run it by hand, it has to show a line "
           "that "
           "begins with SSH-2.0-";
  return "run the command by hand, with the same user and environment as jumpagent: it has to show a line "
         "that "
         "begins with SSH-2.0-, and to go on";
}

std::string other_protocol(const std::string& said) {
  struct Known {
    std::string_view begins, what;
  };
  static constexpr Known kKnown[] = {{"HTTP/", "an HTTP server"},        {"<", "an HTTP server"},
                                     {"220", "a mail or FTP server"},    {"421", "a mail or FTP server"},
                                     {"554", "a mail server"},           {"+OK", "a POP3 server"},
                                     {"-ERR", "a POP3 or Redis server"}, {"* OK", "an IMAP server"},
                                     {"RFB ", "a VNC server"},           {"{", "a JSON service"}};
  for (const Known& known : kKnown) {
    if (said.starts_with(known.begins)) return "that is " + std::string(known.what);
  }
  return {};
}

std::string banner_advice(const Error& error, const HopSpec& spec) {
  const std::string where = fmt::format("port {} of {}", spec.port, spec.host);
  if (error.code == Errc::kUnsupported)
    return "the server speaks the old protocol SSH 1 only, which is unsafe and which nothing current speaks: "
           "update its sshd";
  if (error.code == Errc::kProtocol) {
    const std::string what = other_protocol(quoted_behind(error.message, "it said: "));
    return fmt::format("{}no SSH server is on {}: check HostName and Port in ssh_config",
                       what.empty() ? "" : what + "; ", where);
  }
  if (error.code == Errc::kTimeout) {
    return fmt::format(
        "somebody accepts connections on {} and says nothing: it may be no SSH server, one that "
        "hangs, or a firewall or load balancer that answers for it",
        where);
  }
  return "the server hung up at once: it may have too many connections (MaxStartups), refuse this address "
         "(PerSourcePenalties, fail2ban, tcp wrappers), or be shutting down; its log says which";
}

std::string kex_advice(const Error& error, const HopSpec& spec) {
  for (const OldAlgorithms& old : kOld) {
    if (!says(error, fmt::format("no common {}", old.kind))) continue;
    const std::string theirs = quoted_behind(error.message, "the server offers ");
    if (const std::string& chosen = chosen_algorithms(spec, old.option); !chosen.empty()) {
      return fmt::format(
          "ssh_config has {} {} for {}, and the server has none of these: take the line out, or add one that "
          "the "
          "server offers",
          old.option, chosen, spec.alias);
    }
    for (std::string_view name : old.names) {
      if (name.empty() || !has_name(theirs, name)) continue;
      return fmt::format(
          "an old server: update it; until then, for this host only, in ssh_config: Host {} / "
          "{} +{}",
          spec.alias, old.option, name);
    }
    return fmt::format(
        "the server offers none of what we have: update it, or allow more in its sshd_config ({0}); "
        "if ssh_config sets {0} for this host, look at that",
        old.option);
  }
  if (says(error, "is supported"))
    return "ssh_config names only algorithms that jumpagent does not have; " + error.hint;
  if (error.code == Errc::kTimeout)
    return "the server began and then fell silent: large packets may get lost on the way (MTU; try a smaller "
           "one)";
  if (error.code == Errc::kClosed) return "the server hung up; its log says why";
  return error.hint;
}

std::string login_advice(const LoginReport& login, const Error& error, const HopSpec& spec) {
  if (error.code == Errc::kCancelled) return {};
  if (!login.missed.empty())
    return error.hint.empty() ? "run this on a terminal, where you can be asked" : error.hint;
  // Comes first: keys that are left, or that were refused, are not why it did not end.
  if (error.code == Errc::kTimeout)
    return "the server or ssh-agent took too long; a security key may wait for a touch, a question for its "
           "answer";
  const bool too_many = says(error, "Too many authentication failures") || login.keys_left > 0;
  if (too_many && spec.identities_only) {
    return "the server cuts off after so many keys (MaxAuthTries): name fewer with IdentityFile in "
           "ssh_config, or "
           "the right one first";
  }
  if (too_many) {
    return "the server gave up before all keys were tried (MaxAuthTries): name the right key with "
           "IdentityFile in "
           "ssh_config, and set IdentitiesOnly yes";
  }
  const bool refused = std::any_of(login.tries.begin(), login.tries.end(), [](const LoginTry& each) {
    return each.method == "publickey" && each.outcome == LoginTry::Outcome::kRefused;
  });
  const bool hung_up = std::any_of(login.tries.begin(), login.tries.end(), [](const LoginTry& each) {
    return each.outcome == LoginTry::Outcome::kCutOff;
  });
  if (refused && !login.certificate_problem.empty()) {
    const bool principal = login.certificate_problem.find("it is for ") != std::string::npos;
    return fmt::format("{}: {}", login.certificate_problem,
                       principal
                           ? fmt::format("ask who issues it for a certificate with the principal {}, or use "
                                         "the user that it is for (User in ssh_config)",
                                         spec.user)
                           : "get a new certificate from who issued it");
  }
  if (refused && accepts(login, "publickey")) {
    std::string advice =
        fmt::format("is '{}' the right user there (User in ssh_config)? If so, put your key there: {}",
                    spec.user, copy_id_command(login, spec));
    return error.hint.empty() ? advice : error.hint + "; else: " + advice;
  }
  if (!error.hint.empty()) return error.hint;
  if (hung_up) {
    return fmt::format(
        "the server hung up in the middle of the login: its log says why; '{}' may not be allowed "
        "there (AllowUsers, an expired account)",
        spec.user);
  }
  return fmt::format(
      "check the user '{}' (User in ssh_config) and what was typed; the server's log says more", spec.user);
}

std::string forwarding_advice(const std::string& target) {
  return fmt::format(
      "in the server's sshd_config: AllowTcpForwarding yes (or local), no DisableForwarding, and "
      "PermitOpen, if it is set, has to name {}; in its authorized_keys, the key's line must not say "
      "restrict, no-port-forwarding or another permitopen",
      target);
}

}  // namespace jump
