// Agent: the running daemon. It owns the loop and everything on it, starts it, and ends it in order:
// no new clients → forwards → hosts → what clients are still to be told → the loop.
//
// Invariants: run() returns within kShutdownTime of the request to end, whatever clients and servers do; the
// control socket exists exactly while the agent answers on it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "config/live_config.h"
#include "control/dispatcher.h"
#include "control/events.h"
#include "control/interactions.h"
#include "control/server.h"
#include "doctor/doctor.h"
#include "forward/forwards.h"
#include "forward/persistence.h"
#include "loop/loop.h"
#include "loop/signals.h"
#include "loop/uv_io.h"
#include "proto/messages.h"
#include "route/hosts.h"

namespace jump {

struct AgentOptions {
  std::string socket_path;
  std::string ssh_config_file;  // -F; empty: ssh's defaults
  ConfigFile config_file;       // where reload() looks
  AgentConfig config;           // as read from it
  std::string state_file;       // where persistent forwards are kept; empty: nowhere
};

class Agent {
 public:
  // From the request to end until run() returns: the time that answers to clients and goodbyes to servers
  // have to get from our queues into the kernel's.
  static constexpr Duration kShutdownTime = milliseconds(50);

  explicit Agent(AgentOptions options);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens the control socket. Errors: kInUse when an agent answers there already; kRefused for a directory
  // that others could write to.
  Status start();
  // Until somebody asks it to end (SIGHUP asks it to read its config file again): SIGTERM, SIGINT, agent.shutdown.
  void run();

 private:
  void begin_shutdown(const char* why);
  void on_signal(int number);
  void on_config(const AgentConfig& config);
  proto::AgentStatus status() const;

  const AgentOptions options_;
  const std::string instance_;
  Loop loop_;
  UvIo io_;
  const TimePoint started_;
  EventFeed events_;  // outlives all that gives it hints
  Interactions interactions_;
  Hosts hosts_;
  Forwards forwards_;
  Persistence persistence_;
  LiveConfig config_;
  Doctor doctor_;
  Dispatcher dispatcher_;
  ControlServer server_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<Timer> shutdown_timer_;
  bool ending_ = false;
};

}  // namespace jump
