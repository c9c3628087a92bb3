#include "doctor/way.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "auth/fingerprint.h"
#include "auth/login.h"
#include "doctor/advice.h"
#include "stream/io.h"

namespace jump {
namespace {

using Outcome = LoginTry::Outcome;

// The hop is in the heading already.
Error without_hop(const HopSpec& spec, const Error& error) {
  Error own = error;
  const std::string prefix = spec.describe() + ": ";
  while (own.message.starts_with(prefix)) own.message.erase(0, prefix.size());
  return own;
}

std::string server_target(const HopSpec& spec) { return Endpoint{spec.host, spec.port, {}}.to_string(); }

bool speaks_ssh2(const std::string& version) {
  return version.starts_with("SSH-2.0-") || version.starts_with("SSH-1.99-");
}

class Way {
 public:
  Way(const HopSpec& spec, const HopReport& report, const Error* error, const std::string& carrier,
      Findings& findings)
      : spec_(spec), report_(report), carrier_(carrier), findings_(findings) {
    if (error) error_ = without_hop(spec, *error);
  }

  void explain() {
    if (reached() && greeted() && exchanged() && known()) logged_in();
  }

 private:
  bool reached();
  bool greeted();
  bool exchanged();
  bool known();
  void logged_in();
  void explain_try(const LoginTry& each);
  void explain_untried(const std::string& method);

  const HopSpec& spec_;
  const HopReport& report_;
  const std::string& carrier_;
  Findings& findings_;
  std::optional<Error> error_;
};

bool Way::reached() {
  // A command that carries nothing is one that did not get there.
  const bool by_command = !spec_.proxy_command.empty();
  const bool died = by_command && error_ && report_.server_version.empty() &&
                    error_->code != Errc::kProtocol && error_->code != Errc::kUnsupported;
  if (error_ && (report_.peer.empty() || died)) {
    explain_unreached(spec_, *error_, carrier_, findings_);
    return false;
  }
  if (by_command) {
    findings_.ok(step::kProxyCommand, spec_.proxy_command);
  } else {
    findings_.ok(step::kConnect, carrier_.empty() ? report_.peer : report_.peer + " from " + carrier_);
  }
  return true;
}

bool Way::greeted() {
  const std::string& version = report_.server_version;
  if (error_ && !speaks_ssh2(version)) {
    findings_.fail(step::kBanner, error_->message, banner_advice(*error_, spec_));
    return false;
  }
  findings_.ok(step::kBanner, version);
  return true;
}

bool Way::exchanged() {
  if (error_ && !report_.host_key) {
    findings_.fail(step::kKex, error_->message, kex_advice(*error_, spec_));
    return false;
  }
  findings_.ok(step::kKex, report_.algorithms);
  return true;
}

bool Way::known() {
  if (error_ && !report_.login) {
    std::string advice = error_->hint;
    if (error_->code == Errc::kTimeout) advice = "nobody answered in time whether to trust the key";
    findings_.fail(step::kHostKey, error_->message, std::move(advice));
    return false;
  }
  if (!report_.host_key) return true;
  const HostKey& key = *report_.host_key;
  if (!report_.host_key_unrecorded.empty()) {
    findings_.fail(step::kHostKey,
                   fmt::format("{} {}, accepted, and to be accepted each time: {}", key.algorithm,
                               fingerprint(key.blob), report_.host_key_unrecorded),
                   known_hosts_advice(spec_.known_hosts_files.front()));
    return true;
  }
  findings_.ok(step::kHostKey,
               fmt::format("{} {}, {}", key.algorithm, fingerprint(key.blob),
                           report_.host_key_line.empty() ? "accepted now, for the first time"
                                                         : "known: " + report_.host_key_line));
  return true;
}

void Way::logged_in() {
  if (!report_.login) return;
  const LoginReport& login = *report_.login;
  for (const LoginTry& each : login.tries) explain_try(each);
  for (const std::string& method : login.methods) explain_untried(method);
  if (error_) return findings_.fail(step::kLogin, error_->message, login_advice(login, *error_, spec_));
  const auto accepted = std::find_if(login.tries.begin(), login.tries.end(),
                                     [](const LoginTry& each) { return each.outcome == Outcome::kAccepted; });
  findings_.ok(step::kLogin, accepted == login.tries.end()
                                 ? fmt::format("as {}, without a proof", spec_.user)
                                 : fmt::format("as {}, by {}", spec_.user, accepted->method));
}

void Way::explain_try(const LoginTry& each) {
  const auto text = [&each](std::string_view outcome) {
    std::string out = each.what.empty() ? std::string(outcome) : fmt::format("{}: {}", each.what, outcome);
    return each.note.empty() ? out : fmt::format("{} ({})", out, each.note);
  };
  switch (each.outcome) {
    case Outcome::kAccepted:
      return findings_.ok(each.method, text("accepted"));
    case Outcome::kPartial:
      return findings_.ok(each.method, text("accepted as one step"));
    case Outcome::kRefused:
      return findings_.suspect(each.method, text("not accepted"), {}, {step::kLogin});
    case Outcome::kUnusable:
      return findings_.suspect(each.method, text("could not be used"), {}, {step::kLogin});
    case Outcome::kCutOff:
      return findings_.suspect(each.method, text("the server hung up on it"), {}, {step::kLogin});
  }
}

// A method of the server's list that no try was made of.
void Way::explain_untried(const std::string& method) {
  const LoginReport& login = *report_.login;
  const bool tried = std::any_of(login.tries.begin(), login.tries.end(),
                                 [&method](const LoginTry& each) { return each.method == method; });
  if (tried) return;
  if (login.accepted) return findings_.skip(method, "not needed");
  const bool ours =
      std::find(std::begin(kLoginMethods), std::end(kLoginMethods), method) != std::end(kLoginMethods);
  if (!ours) return findings_.skip(method, "jumpagent does not have this method");
  const auto& preferred = spec_.preferred_authentications;
  const bool listed =
      preferred.empty() || std::find(preferred.begin(), preferred.end(), method) != preferred.end();
  if (!listed) return findings_.skip(method, "left out by PreferredAuthentications");
  const bool on = method == "publickey"  ? spec_.pubkey_authentication
                  : method == "password" ? spec_.password_authentication
                                         : spec_.kbd_interactive_authentication;
  if (!on) return findings_.skip(method, "switched off in ssh_config");
  if (method == "publickey") return findings_.skip(method, "there is no key to offer");
  if (!login.missed.empty())
    return findings_.skip(method, fmt::format("nobody gave {}", fmt::join(login.missed, ", ")));
  findings_.skip(method, "not tried");
}

}  // namespace

void explain_way(const HopSpec& spec, const HopReport& report, const Error* error, const std::string& carrier,
                 Findings& findings) {
  Way(spec, report, error, carrier, findings).explain();
}

void explain_unreached(const HopSpec& spec, const Error& error, const std::string& carrier,
                       Findings& findings) {
  const Error own = without_hop(spec, error);
  if (carrier.empty() && !spec.proxy_command.empty())
    return findings.fail(step::kProxyCommand, own.message, proxy_command_advice(own));
  const bool unnamed = own.message.find(server_target(spec)) == std::string::npos;
  findings.fail(step::kConnect, unnamed ? server_target(spec) + ": " + own.message : own.message,
                connect_advice(own, spec, carrier));
}

void explain_forbidden(const Error& error, const std::string& target, Findings& findings) {
  findings.fail(step::kForwarding, error.message, forwarding_advice(target));
}

}  // namespace jump
