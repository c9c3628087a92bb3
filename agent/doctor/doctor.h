// Doctor: makes diagnoses, a bounded number at the same time. See diagnosis.h and agent_diagnosis.h.
#pragma once

#include <memory>
#include <string>

#include "doctor/agent_diagnosis.h"
#include "doctor/diagnosis.h"

namespace jump {

class Doctor {
 public:
  // Each has connections of its own; more than this is a loop in somebody's script.
  static constexpr int kMaxAtOnce = 16;

  // `prompter` (null: nobody is asked) and `io` outlive it; it outlives what it starts.
  Doctor(Io& io, std::string ssh_config_file, Prompter* prompter)
      : io_(io), file_(ssh_config_file), routes_(io, std::move(ssh_config_file)), prompter_(prompter) {}

  // A name for the client to wait as: nobody else's questions come to it, and nobody else gets its.
  std::string next_name(const std::string& host);
  // `members`: the hosts that `host` stands for, where it is a bastion: each is looked at. `waits_as` is of
  // next_name(). Errors: kLimit. Destroying the operation ends it.
  Result<std::unique_ptr<Operation>> diagnose(const std::string& host,
                                              const std::vector<std::string>& members,
                                              const std::string& waits_as, Duration limit,
                                              Diagnosis::Done done);
  // Where ways lead through a bastion, they are walked through the member named here.
  void set_bastions(RouteFinder::Bastions bastions) { routes_.set_bastions(std::move(bastions)); }
  std::unique_ptr<Operation> diagnose_agent(AgentFacts facts, AgentDiagnosis::Done done) {
    return std::make_unique<AgentDiagnosis>(io_, std::move(facts), std::move(done));
  }

 private:
  class Counted;

  Io& io_;
  const std::string file_;
  RouteFinder routes_;
  Prompter* const prompter_;
  WindowBudget budget_;
  int running_ = 0;
  std::uint64_t last_name_ = 0;
};

}  // namespace jump
