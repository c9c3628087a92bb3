// Login: keyboard-interactive (RFC 4256) and password (RFC 4252 section 8), in ssh's words.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "auth/login.h"
#include "auth/prompt_text.h"

namespace jump {
namespace {

constexpr std::size_t kMaxShown = Transport::kMaxPromptText;

bool same(const Secret& one, const Secret& other) { return std::ranges::equal(one.view(), other.view()); }

}  // namespace

// --- beginnings --------------------------------------------------------------------------------------------

bool Login::begin_keyboard_interactive() {
  Tries& tries = keyboard_interactive_;
  if (tries.over || tries.count >= spec_.number_of_password_prompts) return false;
  ++tries.count;
  ++tries.total;
  method_ = Method::kKeyboardInteractive;
  question_seen_ = false;
  set_state(State::kAttempt);
  userauth_.start_keyboard_interactive(spec_.user);
  return true;
}

bool Login::begin_password() {
  if (password_.over || password_.count >= spec_.number_of_password_prompts) return false;
  Question question;
  question.kind = Question::Kind::kPassword;
  if (password_.count > 0) question.text = "Permission denied, please try again.";
  question.prompts.push_back({account() + "'s password: ", false});
  method_ = Method::kPassword;
  change_tries_ = 0;
  ask(Wanted::kPassword, "the password of " + account(), std::move(question));
  return true;
}

// --- the server's questions --------------------------------------------------------------------------------

void Login::on_question(AuthQuestion question) {
  if (question.kind == AuthQuestion::Kind::kPasswordChange) {
    password_.note = "it has expired, and the server wants a new one";
    change_text_ = readable_text(question.instruction, kMaxShown);
    return ask_for_new_password(change_text_);
  }
  question_seen_ = true;
  ask_for_information(question);
}

void Login::ask_for_information(const AuthQuestion& question) {
  Question ours;
  ours.kind = Question::Kind::kKeyboardInteractive;
  ours.title = readable_line(question.name, kMaxShown);
  ours.text = readable_text(question.instruction, kMaxShown);
  if (question.prompts.empty()) {  // something to read at most, and an answer without content
    std::string text =
        ours.title.empty() || ours.text.empty() ? ours.title + ours.text : ours.title + "\n" + ours.text;
    if (!text.empty()) person_.show(std::move(text));
    return userauth_.provide_answers(std::vector<Secret>{});
  }
  std::string name = "an answer to";
  for (const AuthQuestion::Prompt& prompt : question.prompts) {
    constexpr std::size_t kMaxNamed = 80;
    if (&prompt == &question.prompts.front()) {
      std::string line = readable_line(prompt.text, kMaxNamed);
      while (line.ends_with(' ')) line.pop_back();
      name += fmt::format(" \"{}\"", line);
    }
    ours.prompts.push_back(
        {fmt::format("({}) {}", account(), readable_text(prompt.text, kMaxShown)), prompt.echo});
  }
  ask(Wanted::kInformation, std::move(name), std::move(ours));
}

void Login::ask_for_new_password(const std::string& text) {
  Question question;
  question.kind = Question::Kind::kPassword;
  question.text = text;
  question.prompts.push_back({fmt::format("Enter {}'s old password: ", account()), false});
  question.prompts.push_back({fmt::format("Enter {}'s new password: ", account()), false});
  question.prompts.push_back({fmt::format("Retype {}'s new password: ", account()), false});
  ask(Wanted::kPasswordChange, "a new password of " + account(), std::move(question));
}

void Login::ask(Wanted wanted, std::string name, Question question) {
  wanted_ = wanted;
  wanted_name_ = name;
  answers_.reset();
  set_state(State::kAsking);
  person_.ask(std::move(question), std::move(name), [this](Result<std::vector<Secret>> answers) {
    answers_ = std::move(answers);
    wake_();
  });
}

// --- a person's answers ------------------------------------------------------------------------------------

bool Login::on_answers() {
  if (!answers_) return false;
  Result<std::vector<Secret>> answers = *std::exchange(answers_, std::nullopt);
  if (!answers && cancelled(answers.error(), wanted_name_)) return true;
  switch (wanted_) {
    case Wanted::kPassword:
      on_password(std::move(answers));
      break;
    case Wanted::kPasswordChange:
      on_new_password(std::move(answers));
      break;
    case Wanted::kInformation:
      on_information(std::move(answers));
      break;
  }
  return true;
}

void Login::on_password(Result<std::vector<Secret>> answers) {
  if (!answers) {
    password_.over = true;
    return set_state(State::kChoosing);
  }
  ++password_.count;
  ++password_.total;
  set_state(State::kAttempt);
  userauth_.start_password(spec_.user, std::move(answers->front()));
}

void Login::on_new_password(Result<std::vector<Secret>> answers) {
  if (!answers) {
    password_.over = true;
  } else {
    std::vector<Secret>& given = *answers;
    const bool mismatch = !same(given[1], given[2]);
    if ((mismatch || given[1].empty()) && ++change_tries_ < spec_.number_of_password_prompts) {
      return ask_for_new_password(mismatch ? "Mismatch; try again." : change_text_);
    }
    if (mismatch || given[1].empty()) {
      answers = Error{Errc::kAuth, "no new password was given", ""};
      password_.over = true;
    } else {
      given.pop_back();
    }
  }
  set_state(State::kAttempt);
  userauth_.provide_answers(std::move(answers));
}

void Login::on_information(Result<std::vector<Secret>> answers) {
  if (!answers) keyboard_interactive_.over = true;
  set_state(State::kAttempt);
  userauth_.provide_answers(std::move(answers));
}

}  // namespace jump
