// A program under measurement: the agent, or stock OpenSSH as `ssh -M` with its forwards. Both do the same
// for the same ssh_config and are seen through the same eyes: a forward's port, a process, the commands that
// a user would type.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/process.h"

namespace jump::bench {

enum class Program { kJumpagent, kOpenssh };
constexpr Program kBoth[] = {Program::kJumpagent, Program::kOpenssh};
inline const char* name_of(Program p) { return p == Program::kJumpagent ? "jumpagent" : "OpenSSH"; }

using CommandLine = std::vector<std::string>;

class Contender {
 public:
  static constexpr const char* kBastion = "bastion";

  // Logged in to kBastion of that ssh_config when it returns.
  static std::unique_ptr<Contender> start(Program program, const std::string& ssh_config);
  // jumpagent with further options of `jumpagent run`.
  static std::unique_ptr<Contender> start_jumpagent(const std::string& ssh_config,
                                                    const std::vector<std::string>& options);
  virtual ~Contender() = default;

  // A local port that leads to 127.0.0.1:TARGET as the bastion sees it. `prewarm`: spare channels, where
  // supported.
  virtual std::uint16_t forward(std::uint16_t target, int prewarm = 0) = 0;
  virtual pid_t pid() const = 0;

  // What a user types, to be run with environment(). SPEC is as for ssh -L.
  virtual CommandLine list_command() const = 0;
  virtual CommandLine forward_command(const std::string& spec) const = 0;
  virtual CommandLine close_command(const std::string& spec) const = 0;
  virtual CommandLine run_command(const std::string& command) const = 0;  // on kBastion
  virtual const test::Environment& environment() const = 0;
};

// How many lanes to kBastion that jumpagent has now.
std::size_t lanes(const Contender& jumpagent);

// Whether `jumpctl forward` knows --prewarm.
bool can_prewarm();

// CPU time of all its threads so far, in seconds.
double cpu_seconds(pid_t pid);

}  // namespace jump::bench
