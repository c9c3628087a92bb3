// Person: one login's questions to whoever is there to answer them, one at a time.
//
//   ask(Question) ─► Prompter ─► done(answers)          notice() ─► shown until withdraw()
//
// It remembers what matters afterwards: whether somebody answered (then the same login again would ask
// again), and what was asked in vain. Invariants: done() comes from the loop, never from inside ask(); once
// nobody was there, nobody is asked again: a login that nobody attends ends soon.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/login_spec.h"
#include "auth/prompter.h"
#include "stream/io.h"

namespace jump {

class Person {
 public:
  // `io`, `prompter` (null: nobody to ask) and `spec` outlive it.
  Person(Io& io, Prompter* prompter, const LoginSpec& spec);
  Person(const Person&) = delete;
  Person& operator=(const Person&) = delete;

  // Kind, title, text and prompts of `question` are the caller's. `wanted` names it in messages: "the
  // password of deploy@prod". Errors: kNeedsPerson, kCancelled. Answers are as many as prompts.
  using Answered = std::function<void(Result<std::vector<Secret>>)>;
  void ask(Question question, std::string wanted, Answered done);
  void withdraw_question();

  // Something to do, for as long as it is to be done. What becomes of it is of no interest.
  void notice(std::string text);
  void withdraw_notice() { notice_.reset(); }
  // Something to read. Printable already.
  void show(std::string text);

  bool is_asked() const { return question_ != nullptr; }  // and has not answered yet
  bool took_part() const { return took_part_; }           // answered, or was shown what to do
  const std::string& wanted() const { return wanted_; }   // of the last question
  void note_part() { took_part_ = true; }
  // `wanted` of what nobody answered, and why.
  const std::vector<std::string>& missed() const { return missed_; }

 private:
  void on_answered(Result<std::vector<Secret>> answers, std::size_t prompts);

  Prompter* const prompter_;
  const LoginSpec& spec_;
  std::unique_ptr<Operation> question_, notice_;
  std::unique_ptr<Deferred> nobody_soon_;
  std::string wanted_;
  Answered done_;
  bool took_part_ = false;
  bool nobody_ = false;  // is there
  std::vector<std::string> missed_;
};

}  // namespace jump
