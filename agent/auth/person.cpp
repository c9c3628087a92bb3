#include "auth/person.h"

#include <cassert>
#include <utility>

namespace jump {
namespace {

Error nobody_is_there() { return {Errc::kNeedsPerson, "nobody is there to answer", ""}; }

}  // namespace

Person::Person(Io& io, Prompter* prompter, const LoginSpec& spec)
    : prompter_(spec.batch_mode ? nullptr : prompter), spec_(spec), nobody_(prompter_ == nullptr) {
  nobody_soon_ = io.deferred([this] { on_answered(nobody_is_there(), 0); });
}

void Person::ask(Question question, std::string wanted, Answered done) {
  assert(!done_);
  wanted_ = std::move(wanted);
  done_ = std::move(done);
  if (nobody_) return nobody_soon_->schedule();
  question.host = spec_.alias;
  question.hop = spec_.hop;
  const std::size_t prompts = question.prompts.size();
  question_ = prompter_->ask(std::move(question), [this, prompts](Result<std::vector<Secret>> answers) {
    on_answered(std::move(answers), prompts);
  });
}

void Person::on_answered(Result<std::vector<Secret>> answers, std::size_t prompts) {
  if (!done_) return;
  question_.reset();
  if (answers.ok() && answers->size() != prompts) {
    answers = Error{Errc::kCancelled, "the answers do not fit the questions", ""};
  }
  if (answers.ok() || answers.error().code == Errc::kCancelled) {
    took_part_ = true;
  } else {
    answers = Error{Errc::kNeedsPerson, answers.error().message, ""};
    nobody_ = true;
    const std::string& why = answers.error().message;
    missed_.push_back(why.starts_with(kNobodyIsThere) ? wanted_ : wanted_ + " (" + why + ")");
  }
  std::exchange(done_, nullptr)(std::move(answers));
}

void Person::withdraw_question() {
  question_.reset();
  done_ = nullptr;
}

void Person::notice(std::string text) {
  took_part_ = true;
  if (prompter_ == nullptr) return;
  Question question;
  question.kind = Question::Kind::kNotice;
  question.host = spec_.alias;
  question.hop = spec_.hop;
  question.text = std::move(text);
  notice_ = prompter_->ask(std::move(question), [](Result<std::vector<Secret>>) {});
}

void Person::show(std::string text) {
  if (prompter_ == nullptr) return;
  Question notice;
  notice.host = spec_.alias;
  notice.hop = spec_.hop;
  notice.text = std::move(text);
  prompter_->show(std::move(notice));
}

}  // namespace jump
