// Answerer: the agent's questions, put to the person who runs this program, one after the other.
//
//   notifications ─► queue ─► claim ─► a PersonPrompt for each prompt ─► respond or decline
//
// On the terminal where there is one, else by $SSH_ASKPASS, chosen as ssh(1) chooses. Nothing blocks: Client
// polls descriptors() beside its connection, so that a question which ends elsewhere goes away here.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ctl/person_prompt.h"
#include "proto/rpc.h"

namespace jump::ctl {

class Answerer {
 public:
  // Answers like getenv(): nullptr when unset.
  using Environment = std::function<const char*(const char* name)>;
  enum class Way { kNobody, kTerminal, kAskpass };
  // $SSH_ASKPASS_REQUIRE and a display decide as for ssh(1).
  static Way choose(bool has_terminal, const Environment& environment);

  // Looks for a terminal and at the environment. `allowed` false: nobody is ever asked.
  explicit Answerer(bool allowed);
  ~Answerer();
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;

  bool able() const { return way_ != Way::kNobody; }

  // What the agent said unasked. Unknown methods are ignored.
  void on_notification(const std::string& method, const proto::Json& params);
  void on_claimed(const std::string& id, bool granted);
  std::vector<int> descriptors() const;
  // One of descriptors() can be read.
  void on_readable();

  // Nothing is asked any more: what is on the screen is ended, so that what is said next begins a line.
  void end();

  // What is to be said to the agent next.
  struct Step {
    enum class Kind { kClaim, kRespond, kDecline };
    Kind kind = Kind::kClaim;
    proto::InteractionRespondParams params;
    std::string reason;  // kDecline: why the person could not be asked; empty: the person said no
  };
  std::optional<Step> next_step();

 private:
  struct Current {
    proto::Interaction question;
    std::vector<Secret> answers;
  };

  void begin_next();
  void show_next();
  void finish(Step::Kind kind, std::string reason = {});
  void on_ended(const std::string& id);
  void show_notice(const proto::Interaction& notice);
  void show_text(const std::string& text);
  std::string preamble(const proto::Interaction& question) const;

  Way way_ = Way::kNobody;
  int terminal_ = -1;
  std::string askpass_;
  std::deque<proto::Interaction> waiting_;
  std::optional<Current> current_;
  std::unique_ptr<PersonPrompt> prompt_;
  std::map<std::string, std::unique_ptr<PersonPrompt>> notices_;  // by id; shown until they end
  std::deque<Step> steps_;
};

}  // namespace jump::ctl
