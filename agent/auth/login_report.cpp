// Login: what to say in the end, to a person who wants to get in, and to whoever explains it (LoginReport).
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "auth/login.h"

namespace jump {
namespace {

constexpr std::size_t kMaxOffered = 10;  // named

std::string tries_text(std::string_view method, int total, const std::string& note) {
  std::string text(method);
  if (total > 1) text += fmt::format(" ({} times{}{})", total, note.empty() ? "" : ": ", note);
  if (total == 1 && !note.empty()) text += fmt::format(" ({})", note);
  return text;
}

bool has_gssapi(const std::vector<std::string>& methods) {
  return std::any_of(methods.begin(), methods.end(),
                     [](const std::string& method) { return method.starts_with("gssapi"); });
}

// "3 times: it has expired"
std::string tries_note(int total, const std::string& note) {
  if (total < 2) return note;
  return fmt::format("{} times{}{}", total, note.empty() ? "" : ": ", note);
}

}  // namespace

std::string Login::tried() const {
  std::vector<std::string> parts = identities_.tried();
  if (keyboard_interactive_.total > 0) {
    parts.push_back(
        tries_text("keyboard-interactive", keyboard_interactive_.total, keyboard_interactive_.note));
  }
  if (password_.total > 0) parts.push_back(tries_text("password", password_.total, password_.note));
  return parts.empty() ? "no key" : fmt::format("{}", fmt::join(parts, ", "));
}

LoginReport Login::report() const {
  using Outcome = LoginTry::Outcome;
  LoginReport report;
  report.methods = methods_;
  report.missed = person_.missed();
  report.keys_left = identities_.left();
  report.certificate_problem = identities_.weak_certificate();
  report.accepted = outcome_ && outcome_->ok();
  if (!identities_.is_planned()) report.keys_left = 0;
  // What was under way when it ended, one way or the other.
  const bool under_way = state_ == State::kAttempt || state_ == State::kSigning || report.accepted;
  const Outcome end = report.accepted ? Outcome::kAccepted : Outcome::kCutOff;
  const bool key = under_way && method_ == Method::kPublickey;
  report.tries = identities_.report(key ? current_ : nullptr, end);
  const auto add = [&](const char* name, Method method, const Tries& tries) {
    if (tries.total == 0) return;
    const bool last = under_way && method_ == method;
    report.tries.push_back(
        {name, "", "", last ? end : Outcome::kRefused, tries_note(tries.total, tries.note)});
  };
  add("keyboard-interactive", Method::kKeyboardInteractive, keyboard_interactive_);
  add("password", Method::kPassword, password_);
  return report;
}

void Login::finish(Status outcome) {
  outcome_ = std::move(outcome);
  set_state(State::kDone);
}

void Login::fail() {
  const std::vector<std::string>& missed = person_.missed();
  std::string wants = methods_.empty() ? "nothing" : fmt::format("{}", fmt::join(methods_, ","));
  std::string message =
      fmt::format("authentication failed for {}: tried {}; the server {} {}", spec_.user, tried(),
                  partial_ ? "accepted one step and still wants" : "accepts", wants);
  if (!missed.empty()) message += fmt::format("; nobody was there to give {}", fmt::join(missed, ", "));
  finish(Error{missed.empty() ? Errc::kAuth : Errc::kNeedsPerson, std::move(message), hint()});
}

Error Login::cut_off(Error error) const {
  // Before anything was tried it is the network that broke, which mends itself.
  if (state_ > State::kGathering) error.code = person_.missed().empty() ? Errc::kAuth : Errc::kNeedsPerson;
  if (person_.is_asked()) error.message += " while it waited for " + person_.wanted();
  error.message += "; tried " + tried();
  std::vector<std::string> offered = identities_.offered();
  if (offered.size() > kMaxOffered) {
    offered.resize(kMaxOffered);
    offered.emplace_back("...");
  }
  if (!offered.empty())
    error.message += fmt::format("; keys that were offered: {}", fmt::join(offered, ", "));
  if (identities_.left() > 0) {
    error.hint = spec_.identities_only
                     ? fmt::format(
                           "the server cuts off after {} keys (MaxAuthTries): name fewer with IdentityFile "
                           "in ssh_config, or the right one first",
                           identities_.tried_count())
                     : "name the right key with IdentityFile in ssh_config, and set IdentitiesOnly yes";
  }
  return error;
}

// What of ours the server would accept and the configuration forbids; empty: nothing.
std::string Login::switched_off() const {
  struct Switch {
    std::string_view method, option;
    bool on;
  };
  const Switch switches[] = {
      {"publickey", "PubkeyAuthentication", spec_.pubkey_authentication},
      {"keyboard-interactive", "KbdInteractiveAuthentication", spec_.kbd_interactive_authentication},
      {"password", "PasswordAuthentication", spec_.password_authentication}};
  const std::vector<std::string>& preferred = spec_.preferred_authentications;
  for (const Switch& each : switches) {
    if (!accepts(each.method)) continue;
    if (!each.on) return fmt::format("{} no", each.option);
    if (!preferred.empty() && std::find(preferred.begin(), preferred.end(), each.method) == preferred.end()) {
      return fmt::format("PreferredAuthentications without {}", each.method);
    }
  }
  return "";
}

std::string Login::hint() const {
  if (!person_.missed().empty()) {
    return spec_.batch_mode
               ? "BatchMode yes keeps it from being asked for"
               : "run this where you can be asked (jumpctl in a terminal), or load the key with ssh-add";
  }
  const auto is_ours = [](std::string_view method) {
    return std::find(std::begin(kLoginMethods), std::end(kLoginMethods), method) != std::end(kLoginMethods);
  };
  const std::vector<std::string>& preferred = spec_.preferred_authentications;
  if (!preferred.empty() && std::none_of(preferred.begin(), preferred.end(), is_ours)) {
    return fmt::format(
        "ssh_config has PreferredAuthentications {}, which jumpagent does not have{}: add publickey, "
        "keyboard-interactive or password",
        fmt::join(preferred, ","), has_gssapi(preferred) ? " (GSSAPI is not supported)" : "");
  }
  const bool ours = std::any_of(std::begin(kLoginMethods), std::end(kLoginMethods),
                                [this](std::string_view method) { return accepts(method); });
  if (!ours) return "publickey, keyboard-interactive and password are what can be tried";
  if (std::string off = switched_off(); !off.empty()) return "ssh_config has " + off;
  if (std::string mend = identities_.hint(); !mend.empty()) return mend;
  if (accepts("publickey") && identities_.is_empty()) {
    return "name a key with IdentityFile in ssh_config, or load one with ssh-add";
  }
  return "";
}

}  // namespace jump
