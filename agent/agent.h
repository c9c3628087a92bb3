// Agent: the running daemon. It owns the loop and everything on it, starts it, and ends it in order:
//
//   running ─► draining: no new connections; those that there are finish ─► closing: forwards, hosts, what
//      └─► retired: the same, by a new agent's leave: it stays as long as  ─┘    clients are still to be told
//                   there are connections, within a limit                        ─► the end of the loop
//
// Invariants: from the request to end until run() returns it takes no longer than the drain's limit and
// kShutdownTime, whatever clients and servers do; the control socket exists exactly while an agent answers on
// it: after a handover that is the new one.
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
#include "control/session_methods.h"
#include "doctor/doctor.h"
#include "drain.h"
#include "forward/forwards.h"
#include "forward/persistence.h"
#include "handover.h"
#include "loop/loop.h"
#include "loop/memory_return.h"
#include "loop/network_watch.h"
#include "loop/signals.h"
#include "loop/sleep_watch.h"
#include "loop/uv_io.h"
#include "openssh/mux_server.h"
#include "proto/messages.h"
#include "route/hosts.h"
#include "safekeeping.h"
#include "service_manager.h"
#include "session/sessions.h"
#include "socket_watch.h"
#include "takeover.h"

namespace jump {

struct AgentOptions {
  std::string socket_path;
  std::string ssh_config_file;            // -F; empty: ssh's defaults
  ConfigFile config_file;                 // where reload() looks
  AgentConfig config;                     // as read from it
  std::string state_file;                 // where persistent forwards are kept; empty: nowhere
  std::vector<std::string> command_line;  // the options of it, for the agent that replaces this one
};

class Agent {
 public:
  // From the request to end until run() returns: the time that answers to clients and goodbyes to servers
  // have to get from our queues into the kernel's.
  static constexpr Duration kShutdownTime = milliseconds(50);

  // What a service manager is to wait beyond a drain's limit, on a busy machine, before it kills.
  static constexpr Duration kEndMargin = seconds(5);

  // After a handover: for the connections that are left, and that nobody waits for. Long, as they are
  // somebody's work; finite, as an old agent must not stay for ever.
  static constexpr Duration kHandoverDrain = std::chrono::hours(1);

  // After a handover: for clients that were accepted just before. What they asked may lie unread, or they are
  // between two requests.
  static constexpr Duration kLastWords = seconds(1);

  // A file system that hangs, or another agent's state file, must not keep who waits for this one.
  static constexpr Duration kReadyMax = seconds(2);

  // `service` outlives it.
  Agent(AgentOptions options, const ServiceManager& service);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Opens the control socket. Errors: kInUse when an agent answers there already; kRefused for a directory
  // that others could write to.
  // With sockets that listen already: those, and the forwards that go with them, are its own then.
  Status start(Inheritance inheritance = {});
  // Another process listens on what it does: no name of a socket goes with this object.
  void leave_names();
  // `ready` hears, from within, once what is in the state file is there, and all that the config file has
  // served to ssh, or kReadyMax has passed.
  // Until somebody asks it to end (SIGHUP asks it to read its config file again): SIGTERM, SIGINT, which end
  // it at once when they come again; agent.shutdown; agent.retire.
  void run(std::function<void()> ready = nullptr);

 private:
  enum class State { kRunning, kRetired, kDraining, kClosing };

  void leave_nameless(Inheritance& inheritance);
  void inherit(Inheritance& inheritance);
  void adopt(const Inheritance& inheritance);
  proto::AgentShutdownResult shut_down(const proto::AgentShutdownParams& params);
  std::uint64_t retire();
  void stop_taking(const char* why);
  void drain(Drain::Idle idle, Duration limit);
  Duration usual_drain() const { return config_.current().drain; }
  void close();
  Drain::Load load() const;
  Status may_begin() const;
  Status may_serve() const;
  Status may_begin_at(const Host& host) const;
  Status may_change() const;
  void look_whether_ready();
  void be_ready();
  void sign_of_life();
  void set_state(State next);
  void on_signal(int number);
  void watch_the_way();
  void on_config(const AgentConfig& config);
  void serve_ssh(const std::vector<std::string>& names);
  void open_mux(const proto::MuxOpenParams& params, const Reply<proto::MuxOpenResult>& reply);
  proto::AgentStatus status() const;

  const AgentOptions options_;
  const ServiceManager& service_;
  const std::string instance_;
  Loop loop_;
  UvIo io_;
  const TimePoint started_;
  EventFeed events_;  // outlives all that gives it hints
  Interactions interactions_;
  Hosts hosts_;
  Forwards forwards_;
  Sessions sessions_;
  SessionMethods session_methods_;
  MuxServer mux_;
  Persistence persistence_;
  LiveConfig config_;
  Doctor doctor_;
  Dispatcher dispatcher_;
  Handover handover_;
  ControlServer server_;  // a client of its may be the heir: it goes before handover_
  std::unique_ptr<NetworkWatch> network_watch_;
  std::unique_ptr<SleepWatch> sleep_watch_;
  Safekeeping safekeeping_;
  Inheritance::KeptNames kept_before_;
  std::uint64_t kept_wishes_ = 0;
  bool control_elsewhere_ = false;
  std::unique_ptr<SocketWatch> socket_watch_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<Operation> hashing_;
  std::unique_ptr<Operation> reading_aliases_;
  MemoryReturn memory_return_{io_};
  std::string build_;
  std::unique_ptr<Timer> watchdog_timer_;
  std::function<void()> ready_;
  std::unique_ptr<Timer> ready_timer_;
  bool took_over_ = false;  // from an agent before
  bool state_read_ = false, aliases_read_ = true;
  bool told_ready_ = false;
  std::unique_ptr<Drain> drain_;
  std::unique_ptr<Timer> last_words_;
  bool heard_out_ = false;  // a retired one, with its clients
  std::unique_ptr<Timer> shutdown_timer_;
  State state_ = State::kRunning;
};

}  // namespace jump
