#include "handover.h"

#include <fcntl.h>

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

// As long as the new agent's connection lasts.
class Handover::Claim final : public Operation {
 public:
  Claim(Handover& handover, std::uint64_t heir) : handover_(handover) { handover_.heir_ = heir; }
  ~Claim() override { handover_.heir_ = 0; }

 private:
  Handover& handover_;
};

Handover::Handover(Io& io, const Forwards& forwards, const ControlServer& server, const MuxServer& mux,
                   std::function<std::uint64_t()> retire)
    : io_(io), forwards_(forwards), server_(server), mux_(mux), retire_(std::move(retire)) {}

void Handover::bind(Dispatcher& dispatcher) {
  using namespace proto;  // NOLINT: messages
  dispatcher.bind(method::kAgentHandover,
                  [this](const AgentHandoverParams& params, const Reply<AgentHandoverResult>& reply) {
                    offer(params, reply);
                  });
  dispatcher.bind(method::kAgentRetire, [this](const Empty&, const Reply<AgentRetireResult>& reply) {
    const Peer* peer = reply.peer();
    if (!peer || !under_way() || peer->id() != heir_) {
      return reply(Error{Errc::kInvalid, "only the agent that has taken over can say so", "jumpagent up"});
    }
    const std::uint64_t connections = retire_();
    reply(AgentRetireResult{connections});
  });
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
  return result;
}

void Handover::offer(const proto::AgentHandoverParams& params,
                     const Reply<proto::AgentHandoverResult>& reply) {
  Peer* peer = reply.peer();
  if (!peer) return;
  if (under_way()) return reply(Error{Errc::kInUse, "another agent is taking over already", "try again"});
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
  auto work = [path = params.socket, copies, outcome] {
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
