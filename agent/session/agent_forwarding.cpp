#include "session/agent_forwarding.h"

#include <utility>

#include "base/log.h"
#include "channel/messages.h"

namespace jump {

// One channel of the server's, from its open to its end.
struct AgentForwarding::Visit {
  std::unique_ptr<IncomingChannel> incoming;  // until the agent has answered
  std::unique_ptr<Operation> dialing;
  std::unique_ptr<Splice> splice;
  std::list<std::shared_ptr<Visit>>::iterator place;
};

std::shared_ptr<AgentForwarding> AgentForwarding::on(Mux& mux, Io& io, std::string agent_socket) {
  std::shared_ptr<AgentForwarding> self(new AgentForwarding(io, std::move(agent_socket)));
  mux.set_peer_open_handler("auth-agent@openssh.com",
                            [weak = std::weak_ptr(self)](IncomingChannel incoming) mutable {
                              if (auto forwarding = weak.lock())
                                return forwarding->accept(std::move(incoming));
                              incoming.refuse(ssh::kOpenAdministrativelyProhibited, "no agent is forwarded");
                            });
  return self;
}

AgentForwarding::~AgentForwarding() = default;

void AgentForwarding::accept(IncomingChannel incoming) {
  if (visits_.size() >= kMaxChannels) return incoming.refuse(ssh::kOpenResourceShortage, "too many at once");
  auto made = std::make_shared<Visit>();
  Visit* visit = made.get();
  visit->incoming = std::make_unique<IncomingChannel>(std::move(incoming));
  visit->place = visits_.insert(visits_.end(), std::move(made));
  DialOptions to;
  to.target.path = agent_socket_;
  to.timeout = kDialTimeout;
  visit->dialing = io_.dial(to, [this, visit](Result<std::unique_ptr<ByteStream>> agent) {
    auto channel = agent ? visit->incoming->accept(nullptr) : Result<std::unique_ptr<Channel>>(agent.error());
    if (!channel) {
      log::info("agent forwarding: {}", channel.error().message);
      visit->incoming->refuse(ssh::kOpenConnectFailed, "the agent cannot be reached");
      return remove(*visit);
    }
    visit->splice = std::make_unique<Splice>(io_, *std::move(agent), *std::move(channel),
                                             [this, visit](const Error*) { remove(*visit); });
    visit->splice->start();
  });
}

void AgentForwarding::remove(Visit& visit) {
  std::shared_ptr<Visit> last = std::move(*visit.place);
  visits_.erase(visit.place);
  io_.dispose(std::move(last));
}

}  // namespace jump
