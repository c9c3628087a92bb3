#include "agent.h"

#include <fnmatch.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <csignal>
#include <random>
#include <utility>

#include "base/log.h"
#include "control/methods.h"
#include "control/observe.h"
#include "control/status.h"
#include "ctl/ssh_config_hosts.h"
#include "openssh/mux_info.h"
#include "process_facts.h"
#include "route/spec_from_config.h"
#include "socket_directory.h"

namespace jump {
namespace {

std::string random_name() {
  std::random_device source;
  std::string name;
  for (int i = 0; i < 16; ++i) name += "0123456789abcdef"[source() % 16];
  return name;
}

bool is_socket(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

bool listens(const Fd& fd) {
  int is = 0;
  socklen_t size = sizeof is;
  return getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &is, &size) == 0 && is != 0;
}

// Who made it one that listens; of a connected one: its peer.
pid_t listener_of(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 ? who.pid : 0;
}

// By a connection that ends at once. 0: nobody; none: its queue is full.
std::optional<pid_t> listener_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return 0;
  path.copy(address.sun_path, path.size());
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int connected = connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (connected != 0 && errno == EAGAIN) return std::nullopt;
  return connected == 0 ? listener_of(probe.get()) : 0;
}

bool is_pattern(const std::string& name) { return name.find_first_of("*?") != std::string::npos; }

// Names as they are, and the aliases of ssh_config that patterns among them fit. Reads files: for the pool.
std::vector<std::string> fitting_aliases(const std::vector<std::string>& names,
                                         const std::string& ssh_config) {
  const LocalUser user = LocalUser::current();
  ctl::SshConfigHosts aliases;
  if (!ssh_config.empty()) {
    aliases.read(ssh_config, user.home, user.home + "/.ssh");
  } else {
    aliases.read(user.home + "/.ssh/config", user.home, user.home + "/.ssh");
    aliases.read("/etc/ssh/ssh_config", user.home, "/etc/ssh");
  }
  std::vector<std::string> all;
  for (const std::string& name : names) {
    if (!is_pattern(name)) all.push_back(name);
    for (const std::string& alias : aliases.hosts()) {
      if (is_pattern(name) && fnmatch(name.c_str(), alias.c_str(), 0) == 0) all.push_back(alias);
    }
  }
  return all;
}

}  // namespace

Agent::Agent(AgentOptions options, const ServiceManager& service)
    : options_(std::move(options)),
      service_(service),
      instance_(random_name()),
      io_(loop_),
      started_(loop_.now()),
      events_(io_, [this] { return observe(hosts_, forwards_, &interactions_, &sessions_, loop_.now()); }),
      interactions_(io_),
      hosts_(io_, options_.ssh_config_file,
             options_.config.lanes ? Host::Lanes::kAsNeeded : Host::Lanes::kNever,
             options_.config.window_memory, &interactions_),
      forwards_(io_, hosts_, options_.config.forward_limits),
      session_methods_(io_, sessions_),
      mux_({io_, hosts_, forwards_, sessions_, [this] { return config_.current().login_wait; },
            [this] { return config_.current().forward_limits.open_timeout; }, [this] { return may_serve(); },
            [this] { return may_change(); }},
           options_.socket_path.substr(0, options_.socket_path.rfind('/') + 1) + "mux"),
      persistence_(io_, forwards_, options_.state_file),
      config_(io_, hosts_, forwards_, options_.config_file, options_.config),
      doctor_(io_, options_.ssh_config_file, &interactions_),
      handover_(
          io_, hosts_, forwards_, server_, mux_, [this] { return may_begin(); }, [this] { return retire(); }),
      server_(io_, dispatcher_),
      safekeeping_(
          io_, service_, [this](std::vector<int>* sockets) { return handover_.list(sockets); },
          options_.socket_path) {
  proto::HelloResult identity{
      proto::kProtocolMax,
      JUMPAGENT_VERSION,
      {"forward.local", "forward.remote", "forward.dynamic", "forward.prewarm", "forward.persist",
       "forward.hold", proto::kInteractionsCapability, "doctor", proto::kEventsCapability, "agent.handover",
       proto::kSessionCapability, proto::kStreamCapability, proto::kMuxCapability},
      instance_,
      getpid()};
  const MethodContext context{io_,
                              hosts_,
                              forwards_,
                              std::move(identity),
                              [this] { return status(); },
                              [this](const proto::AgentShutdownParams& params) { return shut_down(params); },
                              &interactions_,
                              config_.current(),
                              [this](ReloadDone done) { config_.reload(std::move(done)); },
                              &persistence_,
                              &doctor_,
                              &events_,
                              &sessions_,
                              [this] { return may_change(); },
                              [this](const Host& host) { return may_begin_at(host); }};
  bind_methods(dispatcher_, context);
  session_methods_.bind(dispatcher_, context);
  dispatcher_.bind(proto::method::kMuxOpen,
                   [this](const proto::MuxOpenParams& params, const Reply<proto::MuxOpenResult>& reply) {
                     open_mux(params, reply);
                   });
  dispatcher_.bind(proto::method::kMuxList,
                   [this](const proto::Empty&, const Reply<proto::MuxListResult>& reply) {
                     reply(proto::MuxListResult{mux_.directory(), config_.current().mux});
                   });
  handover_.bind(dispatcher_);
  hosts_.set_bastions(options_.config.bastions);  // before forwards are taken over
  hosts_.on_changed([this] {
    events_.hint();
    safekeeping_.on_changed();
  });
  interactions_.on_changed([this] { events_.hint(); });
  sessions_.on_changed([this] { events_.hint(); });
  sessions_.on_listing([this](const std::string& host) { return channel_info(sessions_, forwards_, host); });
}

Agent::~Agent() { hosts_.on_changed(nullptr); }

Status Agent::start(Inheritance inheritance) {
  if (Status directory = prepare_socket_directory(options_.socket_path); !directory) return directory;
  auto signals =
      Signals::watch(loop_, {SIGTERM, SIGINT, SIGHUP, SIGWINCH}, [this](int number) { on_signal(number); });
  if (!signals) return signals.error();
  signals_ = *std::move(signals);
  leave_nameless(inheritance);
  took_over_ = inheritance.from_agent;
  const bool control_elsewhere = !inheritance.from_agent && !inheritance.control.empty();
  inherit(inheritance);
  if (Status listening = server_.listen(options_.socket_path); !listening) return listening;
  socket_watch_ = std::make_unique<SocketWatch>(io_, server_, options_.socket_path,
                                                [this] { safekeeping_.control_is_ours(); });
  log::info("agent {} listens on {}", getpid(), options_.socket_path);
  forwards_.on_changed([this] {
    persistence_.on_changed();
    safekeeping_.on_changed();
    events_.hint();
  });
  adopt(inheritance);
  kept_before_ = std::move(inheritance.kept_names);
  kept_wishes_ = inheritance.wishes;
  control_elsewhere_ = control_elsewhere;
  if (!inheritance.from_agent) persistence_.start();  // else the file is the old agent's until it retires
  config_.start([this](const AgentConfig& config) { on_config(config); });

  auto build = std::make_shared<std::string>();
  hashing_ = io_.in_pool([build] { *build = program_build(); }, [this, build] { build_ = *build; });
  watch_the_way();
  if (service_.watchdog()) {
    watchdog_timer_ = io_.timer([this] { sign_of_life(); });
    sign_of_life();
  }
  return {};
}

// Of what the service manager had meanwhile: nobody finds a Unix socket whose name has gone, or is another's.
// The control socket may be a unit's, or one that the agent before made itself: that which its name leads to
// counts.
void Agent::leave_nameless(Inheritance& inheritance) {
  if (inheritance.from_agent) return;
  const std::string& control = options_.socket_path;
  const std::optional<pid_t> there = listener_at(control);
  const auto is_not_it = [there](const Fd& fd) {  // what does not listen is refused later
    return there && listens(fd) && listener_of(fd.get()) != *there;
  };
  std::erase_if(inheritance.control, is_not_it);
  for (Inheritance::Kept& each : inheritance.kept) {
    if (each.at.path == control) std::erase_if(each.sockets, is_not_it);
  }
  std::erase_if(inheritance.kept, [](const Inheritance::Kept& each) {
    return each.sockets.empty() || (each.at.is_unix() && !is_socket(each.at.path));
  });
}

// What is asked for next at these places is there already.
void Agent::inherit(Inheritance& inheritance) {
  if (!inheritance.control.empty()) {
    io_.inherit(Endpoint{{}, 0, options_.socket_path}, std::move(inheritance.control),
                inheritance.from_agent);
  }
  for (Inheritance::Forward& each : inheritance.forwards) {
    if (each.sockets.empty()) continue;
    Result<ForwardRequest> request = request_of(each.wish);
    if (request) io_.inherit(request->listen, std::move(each.sockets), true);
  }
  for (Inheritance::Mux& each : inheritance.mux) {
    if (!each.sockets.empty()) io_.inherit(Endpoint{{}, 0, each.path}, std::move(each.sockets), true);
  }
  for (Inheritance::Kept& each : inheritance.kept) io_.inherit(each.at, std::move(each.sockets), true);
}

void Agent::adopt(const Inheritance& inheritance) {
  hosts_.expect(inheritance.attended, inheritance.unattended);
  for (const Inheritance::Forward& each : inheritance.forwards) {
    if (!each.wish.client) continue;  // the config file asks for it
    Result<ForwardRequest> request = request_of(each.wish);
    if (!request) {
      log::error("forward {} was not taken over: {}", each.wish.spec, request.error().message);
      continue;
    }
    forwards_.adopt(*request, each.wish.id, each.wish.persist);
  }
  for (const Inheritance::Mux& each : inheritance.mux) {
    if (Status served = mux_.serve_at(each.host, each.path); !served)
      log::error("{} is no longer served to ssh: {}", each.host, served.error().message);
  }
}

void Agent::leave_names() {
  server_.leave_name();
  mux_.leave_names();
  for (const WantedForward& each : forwards_.all()) {
    if (each.by_client || each.configured) each.forward->leave_name();  // the others were not handed over
  }
}

// All that a client may look for is there. What was taken over was there before.
void Agent::look_whether_ready() {
  if (state_read_ && (took_over_ || (aliases_read_ && mux_.settled()))) be_ready();
}

void Agent::be_ready() {
  if (std::exchange(told_ready_, true)) return;
  ready_timer_->stop();
  // Whoever wanted one of them has said so by now.
  if (const std::size_t left = io_.drop_inherited()) log::info("{} forwards were not taken over", left);
  if (state_ == State::kRunning) {
    service_.ready("listens on " + options_.socket_path);
    safekeeping_.begin(kept_before_, kept_wishes_, control_elsewhere_);
  }
  if (ready_) ready_();
}

// From the loop, so that one that hangs is noticed.
void Agent::sign_of_life() {
  service_.alive();
  watchdog_timer_->start(*service_.watchdog());
}

// What may have cut connections, or have brought the way back, makes them find out at once.
void Agent::watch_the_way() {
  network_watch_ = std::make_unique<NetworkWatch>(loop_, [this] {
    log::debug("the network has changed");
    hosts_.nudge(Host::Nudge::kNetwork);
  });
  sleep_watch_ = std::make_unique<SleepWatch>(loop_, [this](Duration slept) {
    log::info("awake again after {:.0f} s", to_seconds(slept));
    hosts_.nudge(Host::Nudge::kAwake);
  });
}

void Agent::on_signal(int number) {
  if (number == SIGWINCH) return mux_.resize_all();
  if (number == SIGHUP) {
    if (state_ != State::kRunning) return;
    hosts_.nudge(Host::Nudge::kAwake);
    service_.reloading();
    return config_.reload([this](const Result<ReloadOutcome>&) {  // the log says what came of it
      service_.ready("listens on " + options_.socket_path);
    });
  }
  if (state_ >= State::kDraining) return close();                // whoever says it again is in a hurry
  if (number == SIGTERM && safekeeping_.holds()) leave_names();  // the next agent may be on its way
  stop_taking(number == SIGTERM ? "SIGTERM" : "SIGINT");
  set_state(State::kDraining);
  drain(Drain::Idle::kMayEnd, usual_drain());
}

// What of the config is not for routes and forwards themselves.
void Agent::on_config(const AgentConfig& config) {
  log::set_level(config.log_level);
  hosts_.set_bastions(config.bastions);
  forwards_.set_limits(config.forward_limits, config.max_forwards);
  server_.set_max_clients(config.max_clients, descriptor_limit());
  serve_ssh(config.mux);
  safekeeping_.on_changed();
}

// Patterns stand for the aliases of ssh_config that fit them.
void Agent::serve_ssh(const std::vector<std::string>& names) {
  const bool patterns = std::any_of(names.begin(), names.end(), is_pattern);
  reading_aliases_.reset();  // of other names
  aliases_read_ = !patterns;
  if (!patterns) return mux_.set_configured(names);
  auto served = std::make_shared<std::vector<std::string>>();
  reading_aliases_ = io_.in_pool(
      [served, names, file = options_.ssh_config_file] { *served = fitting_aliases(names, file); },
      [this, served] {
        aliases_read_ = true;
        mux_.set_configured(*served);
        safekeeping_.on_changed();
      });
}

void Agent::open_mux(const proto::MuxOpenParams& params, const Reply<proto::MuxOpenResult>& reply) {
  if (Status may = may_change(); !may) return reply(may.error());
  const auto done = [this, host = params.host, reply](const std::string& path) {
    safekeeping_.on_changed();
    reply(proto::MuxOpenResult{path, mux_.paths(host)});
  };
  if (!params.path.empty()) {
    return mux_.serve_where_asked(params.host, params.path,
                                  [reply, done, path = params.path](const Status& served) {
                                    if (!served) return reply(served.error());
                                    done(path);
                                  });
  }
  Result<std::string> served = mux_.serve(params.host);
  if (!served) return reply(served.error());
  mux_.serve_by_tokens(params.host);
  done(*served);
}

void Agent::run(std::function<void()> ready) {
  if (!persistence_.started()) persistence_.start();
  ready_ = std::move(ready);
  ready_timer_ = io_.timer([this] { be_ready(); });
  ready_timer_->start(kReadyMax);
  mux_.on_settled([this] { look_whether_ready(); });
  persistence_.when_read([this](const Status&) {
    state_read_ = true;
    look_whether_ready();
  });
  loop_.run();
  log::info("agent {} has ended", getpid());
}

Status Agent::may_begin() const {
  if (state_ == State::kRunning) return {};
  if (state_ == State::kRetired)
    return Error{Errc::kReplaced, "a new agent has taken over from this one", "try again"};
  return Error{Errc::kClosed, "the agent is ending", "when it has ended: jumpagent up"};
}

// What ends with its client is carried to its end also when another agent has taken over: whoever was
// accepted here is served here.
Status Agent::may_serve() const { return state_ == State::kRetired ? Status() : may_begin(); }

// A client of the control socket may be sent to the new agent instead, which can ask it for what a login
// needs.
Status Agent::may_begin_at(const Host& host) const { return host.ready() ? may_serve() : may_begin(); }

// What another agent is told of at its takeover, or keeps from then on.
Status Agent::may_change() const {
  if (Status may = may_begin(); !may) return may;
  if (handover_.under_way())
    return Error{Errc::kReplaced, "a new agent is taking over from this one", "try again in a moment"};
  return {};
}

proto::AgentShutdownResult Agent::shut_down(const proto::AgentShutdownParams& params) {
  Duration limit = config_.current().drain;
  if (params.drain)
    limit = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*params.drain));
  if (params.now) limit = Duration::zero();
  const proto::AgentShutdownResult result{params.now ? 0 : load().connections, to_seconds(limit)};
  if (state_ == State::kClosing) return result;
  if (state_ == State::kRunning) {
    safekeeping_.end();
    stop_taking("asked to");
    set_state(State::kDraining);
  } else if (!params.now && !params.drain) {
    return result;  // it goes on as it was begun
  }
  drain(Drain::Idle::kMayEnd, limit);  // its end comes from the loop: the answer is on its way first
  return result;
}

// A new agent is in place.
std::uint64_t Agent::retire() {
  leave_names();
  stop_taking("a new agent has taken over");
  set_state(State::kRetired);
  server_.stop_accepting();
  network_watch_.reset();
  sleep_watch_.reset();
  hosts_.let_go();
  last_words_ = io_.timer([this] {
    server_.stop();  // they find the new agent
    heard_out_ = true;
  });
  last_words_->start(kLastWords);
  drain(Drain::Idle::kStays, kHandoverDrain);
  return load().connections;
}

void Agent::stop_taking(const char* why) {
  const std::uint64_t connections = load().connections;
  log::info("ending: {}; open connections: {}", why, connections);
  service_.stopping(connections == 0 ? "ending" : "ending: waits for connections");
  config_.stop();
  reading_aliases_.reset();
  safekeeping_.stop();
  persistence_.stop();  // what is persistent comes back
  socket_watch_.reset();
  forwards_.on_changed([this] { events_.hint(); });
  forwards_.stop_listening();
  mux_.stop_listening();
  events_.hint();
}

void Agent::drain(Drain::Idle idle, Duration limit) {
  service_.ends_within(limit + kEndMargin);
  drain_ = std::make_unique<Drain>(
      io_,
      [this] {
        Drain::Load now = load();
        if (state_ == State::kRetired)
          now.connections += mux_.undecided() + (heard_out_ ? server_.clients() : 1);
        return now;
      },
      idle, limit, [this] { close(); });
}

Drain::Load Agent::load() const {
  Drain::Load sum;
  for (const WantedForward& each : forwards_.all()) {
    const ForwardCounters counters = each.forward->counters();
    sum.connections += counters.connections;
    sum.moved += counters.bytes_in + counters.bytes_out;
  }
  sum.connections += sessions_.count() + mux_.proxy_clients();
  for (const auto& [name, host] : hosts_.all()) {
    const proto::HostStatus status = host_status(*host, loop_.now());
    sum.moved += status.bytes_in + status.bytes_out;
    sum.pending += status.queued_out + status.held_in + status.channels_opening;
  }
  return sum;
}

void Agent::close() {
  if (state_ == State::kClosing) return;
  set_state(State::kClosing);
  if (const std::uint64_t left = load().connections) log::info("connections that are cut: {}", left);
  server_.stop();
  forwards_.on_changed(nullptr);
  forwards_.close_all();
  Error reason{Errc::kClosed, "the agent is shutting down", {}};
  sessions_.end_all(reason);
  mux_.end_all(reason);
  for (const auto& [name, host] : hosts_.all()) host->disconnect(reason);
  // Answers on their way to clients, and the goodbyes to servers, get out meanwhile.
  shutdown_timer_ = io_.timer([this] { loop_.stop(); });
  shutdown_timer_->start(kShutdownTime);
}

void Agent::set_state(State next) {
  static constexpr const char* kNames[] = {"running", "retired", "draining", "closing"};
  log::debug("agent: {} -> {}", kNames[static_cast<int>(state_)], kNames[static_cast<int>(next)]);
  assert(next > state_);
  state_ = next;
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
  status.state_usable = persistence_.usable();
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
  status.sessions_total = sessions_.total();
  status.sessions_refused = sessions_.refused();
  status.mux_clients = mux_.clients();
  status.mux_clients_total = mux_.counters().clients_total;
  status.mux_clients_refused = mux_.counters().over_limit;
  status.accept_pauses = listener.pauses + forward_listeners.pauses;
  status.window_budget = hosts_.budget().cap();
  status.window_held = hosts_.budget().held();
  status.loop_lag_max = to_seconds(loop_.lag().worst);
  status.loop_lag_mean = to_seconds(loop_.lag().mean);
  status.state = state_ == State::kRunning ? "running" : "ending";
  if (drain_) status.drain_left = to_seconds(drain_->left());
  status.build = build_;
  status.options = options_.command_line;
  status.supervised = service_.present();
  status.log_lost = log::lost();
  status.memory = resident_memory();
  status.descriptors = open_descriptors();
  status.descriptor_limit = descriptor_limit();
  return status;
}

}  // namespace jump
