// LiveConfig: the settings in force. reload() reads the file anew, off the loop thread: a bad one changes
// nothing and all that is wrong with it is told; of a good one the difference is carried out.
//
//   reload() ─► pool: read, parse ─► Upkeep::apply() ─► changed() ─► the askers' answers
//
// Invariants: current() is always a whole, valid config; an asker hears of a file as it was after it asked.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/agent_config.h"
#include "config/config_file.h"
#include "config/upkeep.h"
#include "stream/io.h"

namespace jump {

struct ReloadOutcome {
  std::string file;  // that was read; empty: there is none
  Upkeep::Outcome upkeep;
  std::vector<std::string> needs_restart;  // settings whose change the running agent cannot carry out
};
using ReloadDone = std::function<void(const Result<ReloadOutcome>&)>;

class LiveConfig {
 public:
  // `initial` is in force from the start.
  LiveConfig(Io& io, Hosts& hosts, Forwards& forwards, ConfigFile file, AgentConfig initial);

  // The reference stays good; what it says changes with a reload.
  const AgentConfig& current() const { return current_; }
  const ConfigFile& file() const { return file_; }

  // `changed` carries out the settings that are others' business, now and after each reload. Then begins what
  // the file asks for.
  void start(std::function<void(const AgentConfig&)> changed);
  // Errors: kInvalid and others, the whole list in the message, a line for each.
  void reload(ReloadDone done);
  // No more logins, and no more reloads.
  void stop();

 private:
  void read();
  void take(std::variant<AgentConfig, ConfigErrors> read);
  ReloadOutcome carry_out(AgentConfig next);

  Io& io_;
  const ConfigFile file_;
  AgentConfig current_;
  Upkeep upkeep_;
  std::function<void(const AgentConfig&)> changed_;
  std::unique_ptr<Operation> reading_;
  std::vector<ReloadDone> askers_;  // of the reading that is under way
  std::vector<ReloadDone> later_;   // who came meanwhile: of the next one
};

}  // namespace jump
