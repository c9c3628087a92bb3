// AgentForwarding: lets the server of one connection use a client's ssh-agent, for as long as a session wants
// that. Each channel that the server opens for it ("auth-agent@openssh.com") is joined to the agent's socket.
//
// Invariants: without a session that asked for it, such channels are refused; they end with the last one.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "channel/mux.h"
#include "stream/io.h"
#include "stream/splice.h"

namespace jump {

class AgentForwarding : public std::enable_shared_from_this<AgentForwarding> {
 public:
  // Channels at once; each is a descriptor. Programs ask an agent one after the other.
  static constexpr std::size_t kMaxChannels = 64;
  static constexpr Duration kDialTimeout = seconds(10);

  // From now on `mux` leads to that socket, until the last owner lets go.
  static std::shared_ptr<AgentForwarding> on(Mux& mux, Io& io, std::string agent_socket);
  ~AgentForwarding();

 private:
  struct Visit;
  AgentForwarding(Io& io, std::string agent_socket) : io_(io), agent_socket_(std::move(agent_socket)) {}
  void accept(IncomingChannel incoming);
  void remove(Visit& visit);

  Io& io_;
  const std::string agent_socket_;
  std::list<std::shared_ptr<Visit>> visits_;
};

}  // namespace jump
