// Login: the ladder, and publickey.
#include "auth/login.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <ctime>

#include "auth/fingerprint.h"
#include "auth/prompt_text.h"
#include "base/log.h"

namespace jump {

Login::Login(Io& io, Userauth& userauth, LoginSpec spec, std::function<void()> wake, Prompter* prompter)
    : io_(io),
      userauth_(userauth),
      spec_(std::move(spec)),
      wake_(std::move(wake)),
      person_(io, prompter, spec_),
      identities_(io, spec_, wake_) {}

Login::~Login() = default;

void Login::start() {
  assert(state_ == State::kNew);
  set_state(State::kNone);
  userauth_.start_none(spec_.user);
  if (spec_.pubkey_authentication) identities_.gather();  // while the server thinks about "none"
}

bool Login::advance() {
  show_banner();
  bool moved = false;
  while (step()) moved = true;
  return moved;
}

void Login::show_banner() {
  std::string text = readable_text(userauth_.take_banner(), Transport::kMaxBannerText);
  if (!text.empty()) person_.show(std::move(text));
}

bool Login::step() {
  switch (state_) {
    case State::kNone:
      return on_none_answer();
    case State::kGathering:
      if (!identities_.is_ready()) return false;
      identities_.plan(std::time(nullptr));
      set_state(State::kChoosing);
      return true;
    case State::kChoosing:
      return begin_next();
    case State::kUnlocking:
      return on_unlock_progress();
    case State::kAttempt:
      return on_attempt_progress();
    case State::kSigning:
      return on_signing_progress();
    case State::kAsking:
      return on_answers();
    case State::kNew:
    case State::kDone:
      return false;
  }
  return false;
}

void Login::set_state(State state) {
  static constexpr const char* kNames[] = {"new",     "none",    "gathering", "choosing", "unlocking",
                                           "attempt", "signing", "asking",    "done"};
  log::trace("login {}: {} -> {}", spec_.user, kNames[static_cast<int>(state_)],
             kNames[static_cast<int>(state)]);
  assert(state_ != State::kDone);
  assert(state != State::kSigning || state_ == State::kAttempt);
  assert(state != State::kUnlocking || state_ == State::kChoosing);
  assert(state != State::kAsking || state_ == State::kChoosing || state_ == State::kAttempt ||
         state_ == State::kAsking);
  state_ = state;
}

// --- the ladder --------------------------------------------------------------------------------------------

bool Login::on_none_answer() {
  std::optional<AuthOutcome> answer = userauth_.take_outcome();
  if (!answer) return false;
  if (answer->kind == AuthOutcome::Kind::kSuccess) {
    finish({});
    return true;
  }
  learn_methods(*answer);
  log::debug("login {}: the server accepts {}", spec_.user, fmt::join(methods_, ","));
  set_state(State::kChoosing);
  return true;
}

bool Login::begin_next() {
  if (spec_.preferred_authentications.empty()) {
    for (std::string_view method : kLoginMethods) {
      if (begin(method)) return true;
    }
  }
  for (const std::string& method : spec_.preferred_authentications) {
    if (begin(method)) return true;
  }
  fail();
  return true;
}

// False: the method is not accepted, not allowed, unknown, or used up.
bool Login::begin(std::string_view method) {
  if (!accepts(method)) return false;
  if (method == "publickey") return spec_.pubkey_authentication && begin_publickey();
  if (method == "keyboard-interactive") {
    return spec_.kbd_interactive_authentication && begin_keyboard_interactive();
  }
  return method == "password" && spec_.password_authentication && begin_password();
}

bool Login::on_attempt_progress() {
  if (std::optional<SignRequest> request = userauth_.take_sign_request()) {
    signing_ = std::make_unique<Signing>(io_, person_, identities_, *current_, std::move(*request),
                                         spec_.number_of_password_prompts, wake_);
    set_state(State::kSigning);
    signing_->start();
    return true;
  }
  if (std::optional<AuthQuestion> question = userauth_.take_question()) {
    on_question(std::move(*question));
    return true;
  }
  std::optional<AuthOutcome> answer = userauth_.take_outcome();
  if (!answer) return false;
  on_answer(*answer);
  return true;
}

void Login::on_answer(const AuthOutcome& answer) {
  if (answer.kind == AuthOutcome::Kind::kSuccess) return finish({});
  if (method_ == Method::kPublickey) {
    on_key_answer(answer);
  } else {
    Tries& tries = method_ == Method::kPassword ? password_ : keyboard_interactive_;
    // As ssh: a server that asks nothing would refuse the next attempt just so.
    if (method_ == Method::kKeyboardInteractive && !question_seen_) tries.over = true;
    if (!answer.note.empty() && tries.note.empty()) tries.note = answer.note;
  }
  if (answer.kind == AuthOutcome::Kind::kPartial) on_partial_success();
  learn_methods(answer);
  set_state(State::kChoosing);
}

// The next step is one of its own: what was refused in this one may do there.
void Login::on_partial_success() {
  partial_ = true;
  identities_.rewind();
  password_.count = keyboard_interactive_.count = 0;
}

// An attempt that failed on our side brings no list: what the server said before still holds.
void Login::learn_methods(const AuthOutcome& answer) {
  if (!answer.can_continue.empty()) methods_ = answer.can_continue;
}

bool Login::accepts(std::string_view method) const {
  return std::find(methods_.begin(), methods_.end(), method) != methods_.end();
}

// A person who declines wants the login to end, whatever else could be tried.
bool Login::cancelled(const Error& error, const std::string& wanted) {
  if (error.code != Errc::kCancelled) return false;
  finish(Error{Errc::kCancelled, fmt::format("login as {} cancelled when asked for {}", spec_.user, wanted),
               ""});
  return true;
}

// --- publickey ---------------------------------------------------------------------------------------------

bool Login::begin_publickey() {
  if (!identities_.is_planned()) {
    set_state(State::kGathering);
    return true;
  }
  current_ = identities_.next();
  if (current_ == nullptr) return false;
  method_ = Method::kPublickey;
  if (!current_->blob.empty()) {
    offer();
    return true;
  }
  // Neither the file nor one beside it says which key it is: as ssh, open it to find out.
  const KeyFile& file = identities_.files()->keys[current_->file];
  unlock_ = std::make_unique<KeyUnlock>(io_, person_, file.path, std::nullopt,
                                        spec_.number_of_password_prompts, wake_);
  set_state(State::kUnlocking);
  unlock_->start();
  return true;
}

void Login::offer() {
  log::debug("login {}: offering {}", spec_.user, fingerprint(current_->blob));
  signature_error_.clear();
  const std::string type(WireReader(current_->blob).text());
  if (without_certificate(type) == "ssh-rsa") {
    userauth_.set_rsa_algorithms(accepted_algorithms(type, spec_.pubkey_accepted_algorithms));
  }
  set_state(State::kAttempt);
  userauth_.start_publickey(spec_.user, current_->blob);
}

bool Login::on_unlock_progress() {
  if (!unlock_->result()) return false;
  Result<PrivateKey> key = std::move(*unlock_->result());
  unlock_.reset();
  if (!key) {
    if (cancelled(key.error(), "the passphrase of " + current_->name)) return true;
    identities_.note(*current_, "protected by a passphrase: " + key.error().message);
  } else {
    const bool offered = identities_.learn_key(*current_, key->public_key());
    identities_.files()->keys[current_->file].private_key = std::move(key).value();
    if (offered) {
      offer();
      return true;
    }
  }
  set_state(State::kChoosing);
  return true;
}

bool Login::on_signing_progress() {
  // The attempt may end without its signature: the owner of the transport has limits of its own.
  if (std::optional<AuthOutcome> answer = userauth_.take_outcome()) {
    signing_.reset();
    if (current_->signs_in_agent) identities_.restart_agent();
    on_answer(*answer);
    return true;
  }
  signing_->step();
  if (!signing_->result()) return false;
  Result<Bytes> signature = std::move(*signing_->result());
  signing_.reset();
  if (!signature) {
    if (cancelled(signature.error(), "the passphrase of " + current_->name)) return true;
    signature_error_ = "accepted, but there is no signature: " + signature.error().message;
  }
  set_state(State::kAttempt);
  userauth_.provide_signature(std::move(signature));
  return true;
}

void Login::on_key_answer(const AuthOutcome& answer) {
  if (answer.kind == AuthOutcome::Kind::kPartial) {
    current_->accepted = true;
    identities_.note(*current_, "accepted, and more is wanted");
  } else if (!signature_error_.empty() || !answer.note.empty()) {
    identities_.note(*current_, signature_error_.empty() ? answer.note : signature_error_);
  } else if (answer.key_was_accepted) {
    identities_.note(*current_, "accepted, but its signature was refused");
  }
}

}  // namespace jump
