// A person who follows a script: each question takes the next answer; when none is left, nobody is there.
// Over any Io; answers come later, from its loop.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/prompter.h"

namespace jump::test {

class ScriptedPrompter final : public Prompter {
 public:
  explicit ScriptedPrompter(Io& io) : io_(io) {}

  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    questions.push_back(std::move(question));
    std::optional<std::string> answer;
    if (!answers.empty()) {
      answer = std::move(answers.front());
      answers.pop_front();
    }
    return io_.in_pool([] {},
                       [answer, done] {
                         if (!answer) return done(Error{Errc::kNeedsPerson, "nobody is there to ask", ""});
                         std::vector<Secret> secrets;
                         secrets.emplace_back(std::string_view(*answer));
                         done(std::move(secrets));
                       });
  }

  std::deque<std::string> answers;
  std::vector<Question> questions;

 private:
  Io& io_;
};

}  // namespace jump::test
