#include "takeover.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstddef>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "descriptor_passing.h"
#include "proto/methods.h"

namespace jump {
namespace {

constexpr Duration kMost = seconds(10);

std::vector<Fd> next_of(std::vector<Fd>& all, std::size_t& next, std::uint64_t count) {
  std::vector<Fd> part;
  for (; count > 0; --count) part.push_back(std::move(all[next++]));
  return part;
}

}  // namespace

Result<Takeover> Takeover::begin(const std::string& socket_path) {
  auto client =
      ctl::Client::connect({socket_path, std::string("jumpagent ") + JUMPAGENT_VERSION, seconds(5)});
  if (!client) return client.error();
  Takeover self(*std::move(client));
  auto receiver = DescriptorReceiver::listen(socket_path.substr(0, socket_path.rfind('/') + 1) + ".take." +
                                             std::to_string(getpid()));
  if (!receiver) return receiver.error();
  auto offered = self.client_.call(proto::method::kAgentHandover, {receiver->path()}, kMost);
  if (!offered) return offered.error().context("the agent that runs hands nothing over");
  std::size_t total = offered->control_sockets;
  for (const proto::HandedForward& each : offered->forwards) total += each.sockets;
  for (const proto::HandedMux& each : offered->mux) total += each.sockets;
  auto sockets = receiver->receive(total);
  if (!sockets) return sockets.error();
  std::size_t next = 0;
  self.held_ = offered->held;
  self.inheritance_.attended = std::move(offered->attended);
  self.inheritance_.unattended = std::move(offered->unattended);
  self.inheritance_.from_agent = true;
  self.inheritance_.control = next_of(*sockets, next, offered->control_sockets);
  for (proto::HandedForward& each : offered->forwards) {
    std::vector<Fd> own = next_of(*sockets, next, each.sockets);
    self.inheritance_.forwards.push_back({std::move(each), std::move(own)});
  }
  for (const proto::HandedMux& each : offered->mux)
    self.inheritance_.mux.push_back({each.host, each.path, next_of(*sockets, next, each.sockets)});
  return self;
}

Result<proto::AgentRetireResult> Takeover::finish() {
  auto retired = client_.call(proto::method::kAgentRetire, {}, kMost);
  if (retired) return retired;
  switch (retired.error().code) {
    case Errc::kRefused:
    case Errc::kInvalid:  // the same of versions before
      return Error{
          Errc::kRefused,
          fmt::format("the agent that runs (pid {}) does not retire: {}", old_pid(), retired.error().message),
          retired.error().hint};
    default:
      log::warn("the old agent (pid {}) did not say that it retires: {}", old_pid(), retired.error().message);
      return proto::AgentRetireResult{};
  }
}

}  // namespace jump
