#include "agent.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <random>

#include "base/log.h"
#include "control/methods.h"
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
      hosts_(io_, options_.ssh_config_file),
      forwards_(io_, hosts_, options_.forward_limits),
      server_(io_, dispatcher_) {
  proto::HelloResult identity{
      proto::kProtocolMax, JUMPAGENT_VERSION, {"forward.local", "forward.prewarm"}, instance_, getpid()};
  bind_methods(dispatcher_,
               MethodContext{io_, hosts_, forwards_, std::move(identity), [this] { return status(); },
                             [this] { begin_shutdown("asked to"); }});
}

Agent::~Agent() = default;

Status Agent::start() {
  if (Status directory = prepare_socket_directory(options_.socket_path); !directory) return directory;
  auto signals = Signals::watch(loop_, {SIGTERM, SIGINT}, [this](int number) {
    begin_shutdown(number == SIGTERM ? "SIGTERM" : "SIGINT");
  });
  if (!signals) return signals.error();
  signals_ = *std::move(signals);
  if (Status listening = server_.listen(options_.socket_path); !listening) return listening;
  log::info("agent {} listens on {}", getpid(), options_.socket_path);
  return {};
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
  status.clients = server_.clients();
  status.clients_refused = server_.refused();
  status.protocol_errors = server_.protocol_errors();
  status.loop_lag_max = to_seconds(loop_.lag().worst);
  status.loop_lag_mean = to_seconds(loop_.lag().mean);
  status.memory = resident_memory();
  status.descriptors = open_descriptors();
  return status;
}

}  // namespace jump
