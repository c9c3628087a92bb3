// One login in this process: a Hop to a real server with a scripted person, from dialing to its outcome.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hop/hop.h"
#include "loop/loop.h"
#include "loop/uv_io.h"
#include "support/eventually.h"
#include "support/process.h"
#include "support/setup_error.h"
#include "support/ssh_config.h"
#include "support/sshd.h"
#include "support/temp_dir.h"

namespace jump::test {

using Strings = std::vector<std::string>;
inline constexpr Duration kLoginDeadline = seconds(60);

// Answers from a script, in order; a question beyond it finds nobody.
class ScriptedPerson final : public Prompter {
 public:
  ScriptedPerson(Io& io, std::vector<Strings> script)
      : script_(script.begin(), script.end()), soon_(io.deferred([this] { deliver(); })) {}

  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    auto asked = std::make_unique<Asked>();
    if (question.kind == Question::Kind::kNotice) {
      notices.push_back(question.text);
      return asked;
    }
    if (!question.text.empty()) prompts.push_back("[" + question.text + "]");
    for (const Prompt& prompt : question.prompts)
      prompts.push_back(prompt.text + (prompt.echo ? "<echo>" : ""));
    alive_ = asked->alive;
    done_ = std::move(done);
    soon_->schedule();
    return asked;
  }
  void show(Question notice) override { shown += notice.text; }

  Strings prompts, notices;
  std::string shown;

 private:
  struct Asked final : Operation {
    std::shared_ptr<int> alive = std::make_shared<int>(0);
  };
  void deliver() {
    if (alive_.expired() || !done_) return;
    Result<std::vector<Secret>> answers = Error{Errc::kNeedsPerson, "the script has ended", ""};
    if (!script_.empty()) {
      std::vector<Secret> secrets;
      for (const std::string& answer : script_.front()) secrets.emplace_back(std::string_view(answer));
      script_.pop_front();
      answers = std::move(secrets);
    }
    std::exchange(done_, nullptr)(std::move(answers));
  }

  std::deque<Strings> script_;
  std::unique_ptr<Deferred> soon_;
  std::weak_ptr<int> alive_;
  Answered done_;
};

// One login, from dialing to its outcome.
struct LoginAttempt {
  explicit LoginAttempt(std::vector<Strings> script = {}) : prompter(io, std::move(script)) {}

  // True when logged in.
  bool run(HopSpec spec) {
    hop = std::make_unique<Hop>(
        io, budget, std::make_shared<Contention>(), std::move(spec), "test", [] {}, &prompter);
    auto tick = io.timer([] {});
    const TimePoint deadline = Clock::now() + kLoginDeadline;
    hop->start();
    while (!is_over() && Clock::now() < deadline) {
      tick->start(milliseconds(100));
      loop.run_once();
    }
    EXPECT_TRUE(is_over()) << "no outcome in time";
    return hop->state() == Hop::State::kReady;
  }
  bool is_over() const { return hop->state() == Hop::State::kReady || hop->state() == Hop::State::kClosed; }
  const Error& error() const { return hop->error(); }

  Loop loop;
  UvIo io{loop};
  WindowBudget budget;
  ScriptedPerson prompter;
  std::unique_ptr<Hop> hop;
};

inline HopSpec spec_for(std::uint16_t port, const std::string& known_hosts) {
  HopSpec spec;
  spec.alias = "server";
  spec.host = "127.0.0.1";
  spec.port = port;
  spec.user = current_user();
  spec.known_hosts_files = {known_hosts};
  spec.strict_host_key_checking = StrictHostKeyChecking::kYes;
  return spec;
}

// An sshd and what it takes to find it.
class AuthServer {
 public:
  explicit AuthServer(SshdOptions options = {}) : sshd_(std::move(options)) {
    known_hosts_ = directory_.write("known_hosts", sshd_.known_hosts());
  }
  HopSpec spec(Strings identity_files = {}) const {
    HopSpec out = spec_for(sshd_.port(), known_hosts_);
    out.identity_files = std::move(identity_files);
    return out;
  }
  Sshd& sshd() { return sshd_; }
  std::string log() const { return sshd_.log(); }
  // It writes its log when it gets to it.
  bool will_log(const std::string& text) const {
    return eventually([&] { return log().find(text) != std::string::npos; });
  }
  const TempDir& directory() const { return directory_; }

 private:
  TempDir directory_;
  Sshd sshd_;
  std::string known_hosts_;
};

inline void run_tool(Strings argv) {
  const ProcessResult result = run_process(argv, seconds(60));
  if (!result.ok()) setup_error(result.describe());
}

}  // namespace jump::test
