// ShellLab: shell scripts that are run twice against one sshd, once with stock ssh and once with jumpctl, so
// that what they print and how they end can be compared.
//
// A script calls `run [-tTAans] HOST COMMAND…`: that is `ssh …` or `jumpctl exec …`, and the same with a
// terminal of the test's own around it, if it asks for one. `$dir` is a directory for both.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/lab.h"
#include "support/process.h"

namespace jump::test {

class ShellLab {
 public:
  enum class Client { kSsh, kJumpctl };

  explicit ShellLab(LabOptions options = {});

  Lab& lab() { return *lab_; }
  AgentProcess& agent() { return lab_->agent(); }
  // Added to the scripts' environment.
  void set_env(const std::string& name, const std::string& value) { more_[name] = value; }

  ProcessResult run(Client client, const std::string& script, Duration deadline = seconds(60));
  // The environment and the text that bash is given.
  Environment environment();
  std::string text(Client client, const std::string& script);

 private:
  std::unique_ptr<Lab> lab_;
  Environment more_;
};

// Without what the programs say about themselves.
std::string without_own_messages(const std::string& err);

}  // namespace jump::test
