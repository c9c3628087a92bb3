#include "agent.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <random>

#include "base/log.h"
#include "control/methods.h"
#include "control/observe.h"
#include "process_facts.h"
#include "socket_directory.h"

namespace jump {
namespace {

std::string random_name() {
  std::random_device source;
  std::string name;
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[source() % 16];
  return name;
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      instance_(random_name()),
      io_(loop_),
      started_(loop_.now()),
      events_(io_, [this] { return observe(hosts_, forwards_, &interactions_, loop_.now()); }),
      interactions_(io_),
      hosts_(io_, options_.ssh_config_file,
             options_.config.lanes ? Host::Lanes::kAsNeeded : Host::Lanes::kNever, options_.config.window_memory,
             &interactions_),
      forwards_(io_, hosts_, options_.config.forward_limits),
      persistence_(io_, forwards_, options_.state_file),
      config_(io_, hosts_, forwards_, options_.config_file, options_.config),
      doctor_(io_, options_.ssh_config_file, &interactions_),
      server_(io_, dispatcher_) {
  proto::HelloResult identity{proto::kProtocolMax,
                              JUMPAGENT_VERSION,
                              {"forward.local", "forward.remote", "forward.dynamic", "forward.prewarm",
                               "forward.persist", "forward.hold", proto::kInteractionsCapability, "doctor",
                               proto::kEventsCapability},
                              instance_,
                              getpid()};
  bind_methods(dispatcher_,
               MethodContext{io_, hosts_, forwards_, std::move(identity), [this] { return status(); },
                             [this] { begin_shutdown("asked to"); }, &interactions_, config_.current(),
                             [this](ReloadDone done) { config_.reload(std::move(done)); },
                             &persistence_, &doctor_, &events_});
  hosts_.on_changed([this] { events_.hint(); });
  interactions_.on_changed([this] { events_.hint(); });
}

Agent::~Agent() = default;

Status Agent::start() {
  if (Status directory = prepare_socket_directory(options_.socket_path); !directory) return directory;
  auto signals = Signals::watch(loop_, {SIGTERM, SIGINT, SIGHUP}, [this](int number) { on_signal(number); });
  if (!signals) return signals.error();
  signals_ = *std::move(signals);
  if (Status listening = server_.listen(options_.socket_path); !listening) return listening;
  log::info("agent {} listens on {}", getpid(), options_.socket_path);
  forwards_.on_changed([this] {
    persistence_.on_changed();
    events_.hint();
  });
  persistence_.start();
  config_.start([this](const AgentConfig& config) { on_config(config); });
  return {};
}

void Agent::on_signal(int number) {
  if (ending_) return;
  if (number == SIGHUP) return config_.reload([](const Result<ReloadOutcome>&) {});  // the log says what came of it
  begin_shutdown(number == SIGTERM ? "SIGTERM" : "SIGINT");
}

// What of the config is not for routes and forwards themselves.
void Agent::on_config(const AgentConfig& config) {
  log::set_level(config.log_level);
  forwards_.set_limits(config.forward_limits, config.max_forwards);
  server_.set_max_clients(config.max_clients);
}

void Agent::run() {
  loop_.run();
  log::info("agent {} has ended", getpid());
}

void Agent::begin_shutdown(const char* why) {
  if (ending_) return;
  ending_ = true;
  log::info("ending: {}", why);
  server_.stop();
  config_.stop();
  forwards_.on_changed(nullptr);
  persistence_.stop();  // what is persistent comes back
  forwards_.close_all();
  Error reason{Errc::kClosed, "the agent is shutting down", {}};
  for (const auto& [name, host] : hosts_.all()) host->disconnect(reason);
  // Answers on their way to clients, and the goodbyes to servers, get out meanwhile.
  shutdown_timer_ = io_.timer([this] { loop_.stop(); });
  shutdown_timer_->start(kShutdownTime);
}

proto::AgentStatus Agent::status() const {
  proto::AgentStatus status;
  status.version = JUMPAGENT_VERSION;
  status.pid = getpid();
  status.instance = instance_;
  status.uptime = to_seconds(loop_.now() - started_);
  status.socket = options_.socket_path;
  status.ssh_config = options_.ssh_config_file;
  status.config = config_.current().file;
  status.state_file = persistence_.path();
  status.state_problem = persistence_.problem();
  status.clients = server_.clients();
  const ControlCounters& control = server_.counters();
  const ListenerStats listener = server_.listener_stats();
  const ListenerStats forward_listeners = forwards_.listener_stats();
  status.clients_total = control.clients;
  status.watchers = events_.subscribers();
  status.watchers_lagged = events_.lagged();
  status.clients_cut_off = control.cut_off;
  status.clients_over_limit = control.over_limit;
  status.peers_turned_away = listener.turned_away + forward_listeners.turned_away;
  status.clients_refused = server_.refused();
  status.requests_paused = control.pauses;
  status.protocol_errors = control.protocol_errors;
  status.accept_pauses = listener.pauses + forward_listeners.pauses;
  status.window_budget = hosts_.budget().cap();
  status.window_held = hosts_.budget().held();
  status.loop_lag_max = to_seconds(loop_.lag().worst);
  status.loop_lag_mean = to_seconds(loop_.lag().mean);
  status.memory = resident_memory();
  status.descriptors = open_descriptors();
  status.descriptor_limit = descriptor_limit();
  return status;
}

}  // namespace jump
