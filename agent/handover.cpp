#include "handover.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <utility>

#include "base/fd.h"
#include "base/log.h"
#include "descriptor_passing.h"

namespace jump {
namespace {

// As the config file of the new agent will ask for it, or, when a client wants it, as it is now.
proto::HandedForward describe(const WantedForward& wanted) {
  const ForwardRequest& request = wanted.forward->request();
  proto::HandedForward handed;
  handed.id = wanted.id();
  handed.kind = proto::forward_kind_name(request.kind);
  handed.spec = request.spec;
  handed.via = request.via;
  handed.via_rule = wanted.via_rule;
  handed.name = request.name;
  handed.prewarm = request.prewarm;
  handed.persist = wanted.persistent;
  handed.client = wanted.by_client;
  if (request.listen.is_unix()) return handed;
  Endpoint at = request.listen;
  if (wanted.by_client) at.port = wanted.forward->listening().port;  // also the one that a server chose
  handed.host = at.host;
  handed.port = at.port;
  return handed;
}

}  // namespace

Result<ForwardRequest> request_of(const proto::HandedForward& wish) {
  const auto kind = proto::forward_kind_of(wish.kind);
  if (!kind) return Error{Errc::kInvalid, "there is no kind of forward '" + wish.kind + "'", {}};
  Result<ForwardRequest> request = ForwardRequest::parse(*kind, wish.spec);
  if (!request) return request;
  request->via = wish.via;
  request->via_rule = wish.via_rule;
  request->name = wish.name;
  request->prewarm = wish.prewarm;
  if (wish.port) request->listen = Endpoint{wish.host, static_cast<std::uint16_t>(*wish.port), {}};
  return request;
}

// As long as the new agent's connection lasts, or until it has taken too long.
class Handover::Claim final : public Operation {
 public:
  Claim(Handover& handover, std::uint64_t heir)
      : handover_(handover),
        heir_(heir),
        due_(handover.io_.now() + kMost),
        timer_(handover.io_.timer([this] { look(); })) {
    handover_.heir_ = heir;
    timer_->start(kMost);
  }
  ~Claim() override { end(); }

 private:
  // A timer that comes later than this was held up with the whole process: agent.retire may lie unread then,
  // and whoever sent it serves.
  static constexpr Duration kHeldUp = seconds(1);

  void look() {
    if (handover_.io_.now() - due_ >= kHeldUp && !std::exchange(asked_again_, true))
      return timer_->start(kHeldUp);
    if (handover_.heir_ != heir_) return;
    handover_.late_ = heir_;
    end();
    log::warn("the agent that was to take over has not done so for {:g} s; this one serves on",
              to_seconds(kMost));
  }
  void end() {
    if (handover_.heir_ == heir_) handover_.heir_ = 0;
  }

  Handover& handover_;
  const std::uint64_t heir_;
  const TimePoint due_;
  bool asked_again_ = false;
  std::unique_ptr<Timer> timer_;
};

Handover::Handover(Io& io, const Hosts& hosts, const Forwards& forwards, const ControlServer& server,
                   const MuxServer& mux, std::function<Status()> may, std::function<std::uint64_t()> retire)
    : io_(io),
      hosts_(hosts),
      forwards_(forwards),
      server_(server),
      mux_(mux),
      may_(std::move(may)),
      retire_(std::move(retire)) {}

void Handover::bind(Dispatcher& dispatcher) {
  using namespace proto;  // NOLINT: messages
  dispatcher.bind(method::kAgentHandover,
                  [this](const AgentHandoverParams& params, const Reply<AgentHandoverResult>& reply) {
                    offer(params, reply);
                  });
  dispatcher.bind(method::kAgentRetire, [this](const Empty&, const Reply<AgentRetireResult>& reply) {
    if (Status may = may_retire(reply.peer()); !may) return reply(may.error());
    const std::uint64_t connections = retire_();
    reply(AgentRetireResult{connections});
  });
}

// kRefused is what tells the new agent that it has to go: see Takeover::finish().
Status Handover::may_retire(const Peer* heir) const {
  if (heir && under_way() && heir->id() == heir_) {
    Status may = may_();
    if (may) return may;
    return Error{Errc::kRefused, may.error().message, may.error().hint};
  }
  if (heir && heir->id() == late_) {
    return Error{Errc::kRefused,
                 fmt::format("the handover has taken longer than {:g} s and was given up", to_seconds(kMost)),
                 "jumpagent up"};
  }
  return Error{Errc::kRefused, "only the agent that has taken over can say so", "jumpagent up"};
}

proto::AgentHandoverResult Handover::list(std::vector<int>* sockets) const {
  proto::AgentHandoverResult result;
  *sockets = server_.sockets();
  result.control_sockets = sockets->size();
  for (const WantedForward& each : forwards_.all()) {
    if (each.unbound || !each.established || each.leaving) continue;
    if (!each.by_client && !each.configured) {
      ++result.held;
      continue;
    }
    proto::HandedForward handed = describe(each);
    const std::vector<int> own = each.forward->sockets();
    handed.sockets = own.size();
    sockets->insert(sockets->end(), own.begin(), own.end());
    result.forwards.push_back(std::move(handed));
  }
  for (const MuxServer::Served& each : mux_.all()) {
    result.mux.push_back({each.host, each.path, each.sockets.size()});
    sockets->insert(sockets->end(), each.sockets.begin(), each.sockets.end());
  }
  // Each by all of its names: those that share its connection, and that by which others go through it. A
  // bastion of the config file stands for several.
  const auto note = [this, &result](const std::string& name, const Host& host) {
    if (!hosts_.members(name).empty()) return;
    const std::optional<bool> took = (host.leader() ? *host.leader() : host).took_person();
    if (took) (*took ? result.attended : result.unattended).push_back(name);
  };
  for (const auto& [name, host] : hosts_.all()) {
    note(name, *host);
    if (host->via()) note(host->route()->to_jump_host().steps.back().title(), *host->via());
  }
  for (const auto& [name, takes] : hosts_.expected()) {
    if (!hosts_.all().contains(name)) (takes ? result.attended : result.unattended).push_back(name);
  }
  return result;
}

void Handover::offer(const proto::AgentHandoverParams& params,
                     const Reply<proto::AgentHandoverResult>& reply) {
  Peer* peer = reply.peer();
  if (!peer) return;
  if (Status may = may_(); !may) return reply(may.error());
  // Also one that has gone has a thread of the pool until its socket has taken, or refused, what it asked
  // for.
  if (under_way() || !passing_.expired())
    return reply(Error{Errc::kInUse, "another agent is taking over already", "try again"});
  peer->keep(std::make_unique<Claim>(*this, peer->id()));
  std::vector<int> sockets;
  proto::AgentHandoverResult result = list(&sockets);
  // Copies: the pool must not touch what the loop may close.
  auto copies = std::make_shared<std::vector<Fd>>();
  for (int socket : sockets) {
    copies->emplace_back(fcntl(socket, F_DUPFD_CLOEXEC, 0));
    if (!copies->back())
      return reply(Error{Errc::kLimit, "no descriptor is free for the handover", "close some connections"});
  }
  auto outcome = std::make_shared<Status>();
  auto token = std::make_shared<char>();
  passing_ = token;
  auto work = [path = params.socket, copies, outcome, token] {
    std::vector<int> numbers;
    for (const Fd& each : *copies) numbers.push_back(each.get());
    *outcome = send_descriptors(path, numbers);
    copies->clear();
  };
  log::info("a new agent asks for {} sockets of {} forwards", sockets.size(), result.forwards.size());
  reply.keep(io_.in_pool(std::move(work), [reply, outcome, result = std::move(result)] {
    if (!*outcome) return reply(outcome->error());
    reply(result);
  }));
}

}  // namespace jump
