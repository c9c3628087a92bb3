#include "doctor/diagnosis.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <netdb.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "auth/small_file.h"
#include "base/log.h"
#include "doctor/advice.h"
#include "doctor/channel_probe.h"
#include "doctor/config_sources.h"
#include "doctor/file_checks.h"
#include "doctor/way.h"
#include "route/host_name.h"

namespace jump {
namespace {

Error of_jump_host(Error error) {
  error.message = "jump host " + error.message;
  return error;
}

constexpr std::size_t kMaxAddresses = 8;             // named
constexpr std::size_t kMaxConfigFile = 1024 * 1024;  // more of ssh_config is not looked through
constexpr Duration kSshTimeout = seconds(10);        // a Match exec may be slow
// tcpmux: nothing listens there, and nobody minds being asked.
constexpr std::uint16_t kUnusedPort = 1;
constexpr const char* kLoopback = "127.0.0.1";

bool is_literal(const std::string& host) {
  in6_addr address;
  const std::string bare = host.substr(0, host.find('%'));
  return inet_pton(AF_INET, host.c_str(), &address) == 1 || inet_pton(AF_INET6, bare.c_str(), &address) == 1;
}

struct Addresses {
  std::vector<std::string> found;
  std::string error;
};

// Blocks.
Addresses look_up_now(const std::string& host, AddressFamily family) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = family == AddressFamily::kIpv4   ? AF_INET
                    : family == AddressFamily::kIpv6 ? AF_INET6
                                                     : AF_UNSPEC;
  addrinfo* list = nullptr;
  Addresses out;
  if (const int status = getaddrinfo(host.c_str(), nullptr, &hints, &list); status != 0) {
    out.error = gai_strerror(status);
    return out;
  }
  for (const addrinfo* each = list; each && out.found.size() < kMaxAddresses; each = each->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
      out.found.emplace_back(text);
  }
  freeaddrinfo(list);
  return out;
}

std::optional<std::string> read_text(const std::string& file) {
  Result<SmallFile> read = read_small_file(file, kMaxConfigFile);
  if (!read) return std::nullopt;
  return std::string(read->content.text());
}

std::string way_text(const HopSpec& spec, const std::string& carrier) {
  if (!carrier.empty()) return spec.address() + ", through " + carrier;
  if (!spec.proxy_command.empty()) return spec.address() + ", by ProxyCommand '" + spec.proxy_command + "'";
  return spec.address();
}

// A diagnosis is one try, and changes nothing but what a person agrees to.
void adapt(HopSpec& spec) {
  spec.connection_attempts = 1;
  spec.connect_timeout = std::min(spec.connect_timeout, Diagnosis::kConnectMax);
  spec.update_host_keys = UpdateHostKeys::kNo;
}

}  // namespace

// Questions of these logins are for this diagnosis' client only.
class Diagnosis::Asking final : public Prompter {
 public:
  Asking(Prompter& to, std::string waits_as) : to_(to), waits_as_(std::move(waits_as)) {}
  std::unique_ptr<Operation> ask(Question question, Answered done) override {
    address(question);
    return to_.ask(std::move(question), std::move(done));
  }
  void show(Question notice) override {
    address(notice);
    to_.show(std::move(notice));
  }

 private:
  void address(Question& question) const {
    question.waited_for = [name = waits_as_] { return std::vector<std::string>{name}; };
  }

  Prompter& to_;
  const std::string waits_as_;
};

Diagnosis::Diagnosis(Setup setup, Done done)
    : setup_(std::move(setup)),
      io_(setup_.io),
      done_(std::move(done)),
      prompter_(setup_.prompter ? std::make_unique<Asking>(*setup_.prompter, setup_.waits_as) : nullptr) {
  hop_changed_soon_ = io_.deferred([this] { on_hop_changed(); });
  limit_timer_ = io_.timer([this] { on_time_up(); });
  lookup_timer_ = io_.timer([this] {
    on_addresses({}, fmt::format("no answer from the name service within {} s",
                                 static_cast<long>(to_seconds(kLookupTimeout))));
  });
  limit_timer_->start(setup_.limit);
  log::info("doctor: the way to {}", setup_.host);
  operation_ =
      setup_.routes.find(setup_.host, {}, [this](Result<Route> result) { on_route(std::move(result)); });
}

Diagnosis::~Diagnosis() {
  operation_.reset();
  close_hops();
  while (!hops_.empty()) hops_.pop_back();
}

void Diagnosis::on_route(Result<Route> result) {
  if (!result) {
    findings_.emplace_back(setup_.host);
    here().fail(step::kConfig, result.error().message, result.error().hint);
    return finish();
  }
  route_ = *std::move(result);
  for (Route::Step& step : route_->steps) adapt(step.spec);
  set_state(State::kSources);
  ask_sources();
}

// --- what can be told from here ---

// For one hop after the other: what ssh reads, not only what it comes to.
void Diagnosis::ask_sources() {
  const Route::Step& step = route_->steps[ssh_debug_.size()];
  Command command;
  command.timeout = kSshTimeout;
  command.argv = {"ssh", "-G", "-vvv"};
  if (!setup_.ssh_config_file.empty())
    command.argv.insert(command.argv.end(), {"-F", setup_.ssh_config_file});
  if (Result<HostName> name = HostName::parse(step.name)) {
    if (name->port) command.argv.insert(command.argv.end(), {"-p", std::to_string(*name->port)});
    if (!name->user.empty()) command.argv.insert(command.argv.end(), {"-l", name->user});
    command.argv.insert(command.argv.end(), {"--", name->host});
  }
  operation_ = io_.run(command, [this](const Result<CommandOutput>& output) { on_sources(output); });
}

void Diagnosis::on_sources(const Result<CommandOutput>& output) {
  no_ssh_ = no_ssh_ || (!output && output.error().code == Errc::kNotFound);
  // What a list of ProxyJump leads through goes by that list.
  const bool own = route_->steps[ssh_debug_.size()].jump.empty();
  ssh_debug_.push_back(output && own ? output->err : std::string());
  ssh_debug_.size() < route_->steps.size() ? ask_sources() : check_sources();
}

void Diagnosis::check_sources() {
  using Conflicts = std::vector<std::optional<Conflict>>;
  auto found = std::make_shared<Conflicts>();
  operation_ = io_.in_pool(
      [found, steps = route_->steps, debug = std::move(ssh_debug_)] {
        for (std::size_t i = 0; i < steps.size(); ++i)
          found->push_back(find_conflict(steps[i].spec, debug[i]));
      },
      [this, found] {
        conflicts_ = std::move(*found);
        begin_hop();
      });
}

// ssh takes the first of the two that it reads, and says nothing of the other. Blocks.
std::optional<Diagnosis::Conflict> Diagnosis::find_conflict(const HopSpec& spec,
                                                            const std::string& ssh_debug) {
  const AppliedBlocks applied = AppliedBlocks::parse(ssh_debug);
  const auto jump = find_option(applied, "proxyjump", read_text);
  const auto command = find_option(applied, "proxycommand", read_text);
  if (!jump || !command) return std::nullopt;
  const bool jumps = !spec.proxy_jump.empty();
  return Conflict{
      fmt::format(
          "ProxyJump {} ({}) and ProxyCommand '{}' ({}) are both set: {} counts, the other is ignored",
          jump->value, jump->place(), command->value, command->place(), jumps ? "ProxyJump" : "ProxyCommand"),
      fmt::format("delete the one that is not meant; ssh takes the first that it reads, here {}",
                  (jumps ? jump : command)->place())};
}

void Diagnosis::begin_hop() {
  findings_.emplace_back(title());
  here().ok(step::kConfig, way_text(spec(), carrier()));
  for (const std::string& line : spec().ignored) here().note(step::kConfig, "ssh_config: " + line);
  if (no_ssh_ && index_ == 0) {
    here().fail(step::kConfig, "there is no 'ssh' program in jumpagent's PATH: ssh_config is not read",
                "install OpenSSH's client, or start jumpagent with a PATH that has it");
  }
  if (const auto& conflict = conflicts_[index_]) {
    here().suspect(step::kConfig, conflict->detail, conflict->advice,
                   {step::kDns, step::kConnect, step::kProxyCommand, step::kBanner, step::kHostKey});
  }
  ask_agent();
}

void Diagnosis::ask_agent() {
  set_state(State::kAgent);
  agent_.reset();
  if (spec().identity_agent.empty() || !spec().pubkey_authentication)
    return check_files(std::vector<AgentIdentity>{});
  agent_ = std::make_unique<AgentClient>(io_, spec().identity_agent);
  agent_->list([this](Result<std::vector<AgentIdentity>> answer) { check_files(answer); });
}

void Diagnosis::check_files(const Result<std::vector<AgentIdentity>>& answer) {
  if (state_ != State::kAgent) return;
  set_state(State::kFiles);
  const char* environment = std::getenv("SSH_AUTH_SOCK");
  auto found = std::make_shared<Findings>(title());
  operation_ = io_.in_pool(
      [found, spec = spec(), answer, named = environment && *environment] {
        check_known_hosts(spec, *found);
        check_agent(spec, answer, named, *found);
        check_identities(spec, answer, std::time(nullptr), *found);
      },
      [this, found] {
        here().append(std::move(*found));
        look_up();
      });
}

// Only what is dialled from here: other names are the carrier's to look up.
void Diagnosis::look_up() {
  set_state(State::kLookup);
  if (index_ > 0 || !spec().proxy_command.empty() || is_literal(spec().host)) return connect();
  lookup_timer_->start(kLookupTimeout);
  auto found = std::make_shared<Addresses>();
  operation_ = io_.in_pool(
      [found, host = spec().host, family = spec().address_family] { *found = look_up_now(host, family); },
      [this, found] { on_addresses(found->found, found->error); });
}

void Diagnosis::on_addresses(const std::vector<std::string>& addresses, const std::string& error) {
  if (state_ != State::kLookup) return;
  lookup_timer_->stop();
  if (!error.empty() || addresses.empty()) {
    here().fail(step::kDns, fmt::format("{}: {}", spec().host, error.empty() ? "it has no address" : error),
                name_advice(spec()));
    return stop_here();
  }
  here().ok(step::kDns, fmt::format("{}: {}", spec().host, fmt::join(addresses, ", ")));
  connect();
}

// --- the connection ---

void Diagnosis::connect() {
  set_state(State::kHop);
  carried_error_.reset();
  Hop::Via via;
  if (index_ > 0) {
    via.description = route_->steps[index_ - 1].spec.describe();
    via.dial = [this](Io::DialResult done) { return dial_through(std::move(done)); };
  }
  hops_.push_back(std::make_unique<Hop>(
      io_, setup_.budget, nullptr, spec(), "doctor " + title(), [this] { hop_changed_soon_->schedule(); },
      prompter_.get(), std::move(via)));
  hops_.back()->start();
}

// Through the hop before this one. What it answers is a finding about both.
std::unique_ptr<Operation> Diagnosis::dial_through(Io::DialResult done) {
  Hop& jump_host = *hops_[index_ - 1];
  if (jump_host.state() != Hop::State::kReady) {
    return io_.in_pool([] {},
                       [this, error = jump_host.error(), done = std::move(done)] {
                         note_carried(&error);
                         done(of_jump_host(error));
                       });
  }
  const ChannelOpen request = ChannelOpen::direct_tcpip(spec().host, spec().port, kLoopback, 0);
  return std::make_unique<ChannelProbe>(
      io_, jump_host.mux(), request, spec().connect_timeout,
      [this, done = std::move(done)](Result<std::unique_ptr<ByteStream>> channel) {
        note_carried(channel ? nullptr : &channel.error());
        channel ? done(std::move(channel)) : done(of_jump_host(channel.error()));
      });
}

void Diagnosis::note_carried(const Error* error) {
  Findings& carrying = findings_[index_ - 1];
  const std::string target = Endpoint{spec().host, spec().port, {}}.to_string();
  if (error) carried_error_ = *error;
  if (!error || error->code == Errc::kUnreachable)
    return carrying.ok(step::kForwarding,
                       error ? "allowed, but it cannot connect to " + target : "to " + target);
  if (forbids_forwarding(*error)) return explain_forbidden(*error, target, carrying);
  if (error->code == Errc::kTimeout)
    carrying.note(step::kForwarding, "no answer whether it may connect to " + target);
}

void Diagnosis::on_hop_changed() {
  if (state_ != State::kHop) return;
  const Hop& hop = *hops_.back();
  if (hop.state() == Hop::State::kClosed) return on_hop_failed();
  if (hop.state() != Hop::State::kReady) return;
  explain_way(spec(), hop.report(), nullptr, carrier(), here());
  if (index_ + 1 == route_->steps.size()) return probe();
  ++index_;
  begin_hop();
}

void Diagnosis::on_hop_failed() {
  const Hop& hop = *hops_.back();
  if (carried_error_ && forbids_forwarding(*carried_error_)) {
    here().skip(step::kConnect, carrier() + " does not let connections through");
  } else if (carried_error_) {
    explain_unreached(spec(), *carried_error_, carrier(), here());
  } else {
    explain_way(spec(), hop.report(), &hop.error(), carrier(), here());
  }
  stop_here();
}

// Whether the last hop lets connections through. Where nothing listens, nothing is disturbed: "could not
// connect" is as good an answer as a channel.
void Diagnosis::probe() {
  set_state(State::kProbe);
  Hop& hop = *hops_.back();
  operation_ = std::make_unique<ChannelProbe>(
      io_, hop.mux(), ChannelOpen::direct_tcpip(kLoopback, kUnusedPort, kLoopback, 0), kProbeTimeout,
      [this](Result<std::unique_ptr<ByteStream>> channel) {
        on_probe(channel ? nullptr : &channel.error());
      });
}

void Diagnosis::on_probe(const Error* error) {
  if (error && forbids_forwarding(*error)) {
    explain_forbidden(*error, "your targets (then this may be as intended)", here());
  } else if (error && error->code != Errc::kUnreachable && hops_.back()->state() == Hop::State::kClosed) {
    here().fail(step::kForwarding, "the server ended the connection when it was asked: " + error->message);
  } else if (error && error->code == Errc::kTimeout) {
    here().note(step::kForwarding, fmt::format("no answer within {} s: it may be allowed or not",
                                               static_cast<long>(to_seconds(kProbeTimeout))));
  } else if (error && error->code != Errc::kUnreachable && error->code != Errc::kClosed) {
    here().note(step::kForwarding, error->message);
  } else {
    here().ok(step::kForwarding, "allowed");
  }
  finish();
}

// --- ends ---

void Diagnosis::on_time_up() {
  const long limit = static_cast<long>(to_seconds(setup_.limit));
  operation_.reset();
  agent_.reset();
  const Error late{Errc::kTimeout, fmt::format("not finished within {} s", limit), {}};
  if (findings_.empty()) findings_.emplace_back(setup_.host);
  if (state_ == State::kHop && hops_.back()->state() != Hop::State::kClosed) {
    explain_way(spec(), hops_.back()->report(), &late, carrier(), here());
  } else {
    here().fail(step::kTime, late.message, "give it more time: --timeout SECONDS");
  }
  stop_here();
}

// What lies behind this hop was not reached. A conflict there may be why the way led here at all.
void Diagnosis::stop_here() {
  if (route_ && conflicts_.size() == route_->steps.size()) {
    for (std::size_t i = index_ + 1; i < route_->steps.size(); ++i) {
      findings_.emplace_back(route_->steps[i].title());
      if (const auto& conflict = conflicts_[i])
        here().fail(step::kConfig, conflict->detail, conflict->advice);
      here().skip(step::kConnect, "not tried: it is reached through " + route_->steps[i - 1].title());
    }
  }
  finish();
}

void Diagnosis::finish() {
  if (state_ == State::kDone) return;
  set_state(State::kDone);
  limit_timer_->stop();
  lookup_timer_->stop();
  proto::DiagnosisReport result;
  result.host = setup_.host;
  result.healthy = true;
  if (route_) {
    for (const Route::Step& step : route_->steps) result.hops.push_back({step.title(), step.spec.address()});
  }
  for (const Findings& each : findings_) {
    result.healthy = result.healthy && !each.failed();
    for (proto::DiagnosisStep& step : each.steps()) result.steps.push_back(std::move(step));
  }
  log::info("doctor: the way to {} is {}", setup_.host, result.healthy ? "well" : "not well");
  close_hops();
  Done done = std::move(done_);
  done(std::move(result));  // may destroy this object
}

// The last one first: it goes through the others. They are destroyed with this object, as they may be
// calling.
void Diagnosis::close_hops() {
  for (auto hop = hops_.rbegin(); hop != hops_.rend(); ++hop)
    (*hop)->close(Error{Errc::kClosed, "the diagnosis is over", {}});
}

void Diagnosis::set_state(State next) {
  static constexpr const char* kNames[] = {"route",  "sources", "agent", "files",
                                           "lookup", "hop",     "probe", "done"};
  log::trace("doctor {}: {} -> {}", setup_.host, kNames[static_cast<int>(state_)],
             kNames[static_cast<int>(next)]);
  assert(state_ != State::kDone);
  state_ = next;
}

}  // namespace jump
