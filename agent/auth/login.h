// Login: which method, with what, in which order, until the server lets us in. Decisions only: Userauth does
// the protocol, Identities knows the keys, Signing has them sign, Person asks whoever is there.
//
//   start(): "none" ─► the server's methods ─► the first of PreferredAuthentications among them that is not
//   used up:
//     publickey             one key after the other                                        ─┐
//     keyboard-interactive  the server's questions go to a person, the answers back         ├─► outcome()
//     password              asked for, a few times                                         ─┘
//   and again after each answer, as what the server accepts may change: a partial success wants the next
//   step.
//
// The order is ssh's (sshconnect2.c, userauth()), and so are the wordings of what is asked. Sources:
// login.cpp (the ladder, publickey), login_prompts.cpp (what a person answers), login_report.cpp (what to say
// in the end).
//
// Who calls what: the owner calls start() once its Transport is in kUserauth, then
//     login.advance(); transport.advance(); login.advance(); … until transport.state() and outcome() stay as
//     they are
// after every feed() of its transport and whenever wake() was called. advance() does what can be done now, is
// harmless to call too often, and has at most one attempt under way; an attempt that it began shows in
// transport.output() after transport.advance(). wake() comes from the loop, when background work has
// finished; it must only note or schedule (Deferred), as it runs inside one of Login's own callbacks:
// destroying the Login from there is not allowed. Invariant: once outcome() has a value it keeps it, and
// nothing more is begun.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/identities.h"
#include "auth/key_unlock.h"
#include "auth/login_report.h"
#include "auth/login_spec.h"
#include "auth/person.h"
#include "auth/prompter.h"
#include "auth/signing.h"
#include "auth/userauth.h"
#include "stream/io.h"

namespace jump {

class Login {
 public:
  // `io`, `userauth` and `prompter` (null: nobody to ask) outlive the Login. Destroying it gives up
  // everything under way and wipes loaded keys.
  Login(Io& io, Userauth& userauth, LoginSpec spec, std::function<void()> wake, Prompter* prompter = nullptr);
  ~Login();
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;

  void start();
  bool advance();  // true: it moved, so the transport and the outcome are worth another look

  // ok: authenticated. Else, with a hint: kAuth ("authentication failed for deploy: tried agent (2 keys),
  // ~/.ssh/id_ed25519; the server accepts publickey,password"); kNeedsPerson, the same where somebody could
  // have made the difference by an answer, which is named; kCancelled, a person declined.
  const std::optional<Status>& outcome() const { return outcome_; }

  // What was tried so far, and why the rest was not: "agent (2 keys), ~/.ssh/id_rsa (no such file)"; "no key"
  // if there was none.
  std::string tried() const;
  // The same, one by one.
  LoginReport report() const;
  // The owner's error when the server hangs up meanwhile ("Too many authentication failures"), with what was
  // tried.
  Error cut_off(Error error) const;

  // A question is open: the owner's deadline waits, as the question has one of its own.
  bool waits_for_person() const { return person_.is_asked(); }
  // Somebody had to do something for it: answer, touch a security key, confirm a signature. The same login
  // again would ask again.
  bool needed_person() const { return person_.took_part(); }

  // Shows what the server has to say (USERAUTH_BANNER). advance() does it too.
  void show_banner();

 private:
  enum class State { kNew, kNone, kGathering, kChoosing, kUnlocking, kAttempt, kSigning, kAsking, kDone };
  enum class Method { kPublickey, kKeyboardInteractive, kPassword };
  // What a person was asked for.
  enum class Wanted { kPassword, kPasswordChange, kInformation };

  // A method other than publickey, so far.
  struct Tries {
    int count = 0;  // since the last partial success
    int total = 0;
    bool over = false;  // it will not be tried again
    std::string note;   // why it did not do
  };

  bool step();  // one transition; false: nothing to do now
  void set_state(State state);

  // --- the ladder (login.cpp) ---
  bool on_none_answer();
  bool begin_next();
  bool begin(std::string_view method);
  bool begin_publickey();
  void offer();
  bool on_unlock_progress();
  bool on_attempt_progress();
  bool on_signing_progress();
  void on_answer(const AuthOutcome& answer);
  void on_key_answer(const AuthOutcome& answer);
  void on_partial_success();
  void learn_methods(const AuthOutcome& answer);
  bool accepts(std::string_view method) const;
  bool cancelled(const Error& error, const std::string& wanted);

  // --- what a person answers (login_prompts.cpp) ---
  bool begin_keyboard_interactive();
  bool begin_password();
  void on_question(AuthQuestion question);
  void ask(Wanted wanted, std::string name, Question question);
  void ask_for_information(const AuthQuestion& question);
  void ask_for_new_password(const std::string& text);
  bool on_answers();
  void on_password(Result<std::vector<Secret>> answers);
  void on_new_password(Result<std::vector<Secret>> answers);
  void on_information(Result<std::vector<Secret>> answers);
  std::string account() const { return spec_.user + "@" + spec_.host; }

  // --- what to say (login_report.cpp) ---
  void finish(Status outcome);
  void fail();
  std::string hint() const;
  std::string switched_off() const;

  Io& io_;
  Userauth& userauth_;
  const LoginSpec spec_;
  const std::function<void()> wake_;
  State state_ = State::kNew;
  std::optional<Status> outcome_;

  Person person_;
  Identities identities_;

  Method method_ = Method::kPublickey;  // of the attempt under way, or being prepared
  Candidate* current_ = nullptr;        // of identities_: publickey's
  std::unique_ptr<KeyUnlock> unlock_;
  std::unique_ptr<Signing> signing_;
  std::string signature_error_;  // of the attempt under way

  Tries password_, keyboard_interactive_;
  bool question_seen_ = false;  // in this keyboard-interactive attempt
  Wanted wanted_ = Wanted::kPassword;
  std::string wanted_name_;
  std::string change_text_;  // what the server says about a new password
  int change_tries_ = 0;
  std::optional<Result<std::vector<Secret>>> answers_;

  std::vector<std::string> methods_;  // that can continue, as the server last said
  bool partial_ = false;              // something was accepted, and the server wants more
};

// The methods that Login has, in ssh's order of preference.
inline constexpr std::string_view kLoginMethods[] = {"publickey", "keyboard-interactive", "password"};

}  // namespace jump
